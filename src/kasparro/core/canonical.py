"""One form of bytes for each payload and record, and the 128-bit hashes over it.

Two payloads that say the same (key order, spaces, 1.0 for 1.00) have the same canonical form; the raw row keeps what
came. Hashes are BLAKE2b with a 16-byte digest (RFC 7693). `tests/unit/test_canonical.py` holds the test vectors.
"""

import base64
import json
import re
import sys
from array import array
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, TypeGuard, cast
from zlib import crc32

HASH_SIZE: Final = 16
DIGEST_MODULUS: Final = 2**128
_MAX_INTEGER_DIGITS: Final = 131_072  # https://www.postgresql.org/docs/current/datatype-numeric.html
_MAX_FRACTION_DIGITS: Final = 16_383
_PLAIN_NOTATION_LIMIT: Final = 64
_LARGE_INTEGER: Final = 10**_PLAIN_NOTATION_LIMIT
"""From here on integers go the way of decimals: equal numbers have one form, and Python limits `str` of integers."""
_SHORT_NUMBER: Final = re.compile(r"-?[1-9][0-9]{0,30}(\.[0-9]{1,30})?")
_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")
_quote = json.encoder.encode_basestring
_encode_flat = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class UnstorableError(ValueError):
    """A payload that jsonb cannot hold: NUL, a lone surrogate, a number out of range, nesting too deep."""


def canonical_json(payload: Mapping[str, Any], *, ignore: Collection[str] = ()) -> str:
    """The payload with keys sorted, no spaces, numbers by value; without the dotted paths in `ignore`."""
    shown = without_paths(payload, ignore) if ignore else payload
    return _encode_flat(shown) if _is_flat_text(shown) else _encode(shown, exact=False)


def payload_json(payload: Mapping[str, Any]) -> str:
    """The payload as JSON text for a jsonb column; numbers keep their scale. Raises UnstorableError."""
    try:
        text = _encode_flat(payload) if _is_flat_text(payload) else _encode(payload, exact=True)
        text.encode()
    except RecursionError:
        raise UnstorableError("nesting too deep") from None
    except UnicodeEncodeError:
        raise UnstorableError("lone surrogate") from None
    if "\\u0000" in text and _has_nul(payload):
        raise UnstorableError("NUL character")
    return text


def storable_text(text: str) -> str:
    """The text with escapes for what PostgreSQL does not take: NUL, and bytes or surrogates that are no UTF-8."""
    return _NO_TEXT.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    byte = code - 0xDC00  # PEP 383: how Python reads bytes of file names that are no UTF-8
    return f"\\x{code:02x}" if code == 0 else f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{code:04x}"


def unstorable(raw: bytes) -> dict[str, str]:
    """The payload that stands for bytes which cannot be stored as they are."""
    return {"_unstorable": base64.b64encode(raw).decode()}


def hash_text(text: str) -> bytes:
    """BLAKE2b-128 of UTF-8 text; lone surrogates, which have no UTF-8 form, are hashed as if they had one."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_SIZE).digest()


def content_hash(payload: Mapping[str, Any], *, ignore: Collection[str] = ()) -> bytes:
    """16 bytes over the canonical payload."""
    return hash_text(canonical_json(payload, ignore=ignore))


def record_hash(fields: Mapping[str, Any], *, attributes_json: str | None = None) -> bytes:
    """16 bytes over the canonical unified record, its key included: fields that are None or empty lists and objects do
    not count.

    `attributes_json` is the canonical text of `attributes`, for a caller that has it already.
    """
    members: list[str] = []
    for name in sorted(fields):
        value = fields[name]
        if type(value) is str:
            members.append(f"{_quote(name)}:{_quote(value)}")
        elif value is None or (not value and isinstance(value, list | dict)):
            continue
        elif attributes_json is not None and name == "attributes":
            members.append(f'"attributes":{attributes_json}')
        else:
            members.append(f"{_quote(name)}:{_encode(value, exact=False)}")
    return hash_text("{" + ",".join(members) + "}")


def digest_term(hash_of_record: bytes) -> int:
    """What a live record adds to its source's digest: its hash as a little-endian integer."""
    return int.from_bytes(hash_of_record, "little")


def digest_sum(hashes: bytes) -> int:
    """The sum of `digest_term` over hashes of 16 bytes that stand end to end; not yet modulo DIGEST_MODULUS."""
    halves = array("Q", hashes)
    if sys.byteorder == "big":
        halves.byteswap()
    return sum(halves[0::2]) + (sum(halves[1::2]) << 64)


def lane_of(identity: bytes, lanes: int) -> int:
    """The lane, 0 to lanes - 1, of a record key's UTF-8 bytes (or of a content hash where there is no key)."""
    return crc32(identity) % lanes


def without_paths(payload: Mapping[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """A copy of the payload without its dotted `paths`; a path that is not there is no error."""
    copy = dict(payload)
    for path in paths:
        head, _, rest = path.partition(".")
        if path in copy:
            del copy[path]
        elif rest and isinstance(copy.get(head), dict):
            copy[head] = without_paths(copy[head], (rest,))
    return copy


def canonical_number(value: Decimal | int) -> str:
    """A number by its value: 1.50 and 1.5 have one form. Raises UnstorableError for one that jsonb cannot hold."""
    return _number(value, exact=False)


def _is_flat_text(payload: Mapping[str, Any]) -> bool:
    return all(type(value) is str or value is None for value in payload.values())


def _encode(value: Any, *, exact: bool) -> str:
    kind = cast("type[object]", type(value))  # exact types first: this runs for every field of every record
    if kind is str:
        return _quote(value)
    if kind is Decimal:
        return _number(value, exact=exact)
    if isinstance(value, datetime):
        return f'"{(value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()}"'
    if kind is dict or isinstance(value, Mapping):
        members = sorted(cast("Mapping[str, Any]", value).items(), key=itemgetter(0))
        return "{" + ",".join([f"{_quote(key)}:{_encode(item, exact=exact)}" for key, item in members]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([_encode(item, exact=exact) for item in cast("list[Any]", value)]) + "]"
    if _is_number(value):
        return _number(value, exact=exact)
    return _encode_flat(value)


def _is_number(value: object) -> TypeGuard[Decimal | float | int]:
    return isinstance(value, Decimal | float | int) and not isinstance(value, bool)


def _number(value: Decimal | float, *, exact: bool) -> str:
    if isinstance(value, int) and -_LARGE_INTEGER < value < _LARGE_INTEGER:
        return str(value)
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    text = str(number)
    if text.isdigit() and text[0] != "0" and len(text) <= _PLAIN_NOTATION_LIMIT:
        return text
    if _SHORT_NUMBER.fullmatch(text):
        return text if exact or "." not in text else text.rstrip("0").rstrip(".")
    if not number.is_finite():
        raise UnstorableError(f"number {number} is not finite")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number.adjusted() >= _MAX_INTEGER_DIGITS or -exponent > _MAX_FRACTION_DIGITS:
        raise UnstorableError(f"number {number:.6E} is out of range")
    if exact:
        return str(number)
    significant = "".join(map(str, digits)).lstrip("0").rstrip("0")
    if not significant:
        return "0"
    canonical = Decimal((sign, tuple(map(int, significant)), number.adjusted() - len(significant) + 1))
    return f"{canonical:f}" if abs(number.adjusted()) <= _PLAIN_NOTATION_LIMIT else f"{canonical:E}"


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        return any(_has_nul(key) or _has_nul(item) for key, item in cast("Mapping[str, object]", value).items())
    return isinstance(value, list | tuple) and any(map(_has_nul, cast("list[object]", value)))
