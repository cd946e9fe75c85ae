"""Takes secrets out of whatever is about to be shown: registered values, secret-named fields, credentials in URLs.

Two kinds of values are known. A secret (of a variable whose name says so, a key, a password) becomes `***` in all that
a command prints. What any other environment variable put into the configuration becomes `${NAME}` in messages, in logs
and in errors that are stored, unless it is a host or port; in results it is data like any other.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_letters, digits
from typing import Any, Final, cast
from urllib.parse import unquote, unquote_plus

from kasparro.core.secret_shapes import MASK, mask_shapes

_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token$|^authorization$|^(set-)?cookie$|api[-_]?key$|credential|private[-_]?key|^dsn$"
    r"|webhook[-_]?url$|^sig(nature)?$|(account|access|signing)[-_]?key$",
    re.IGNORECASE,
)
_MINIMUM_SECRET_LENGTH: Final = 4
_MINIMUM_BASE64_LENGTH: Final = 8
_BASE64_WORD: Final = ascii_letters + digits + "+-_"
_TRIVIAL: Final = re.compile(r"true|false|null|none|[-+]?\d{1,5}(\.\d{1,2})?", re.IGNORECASE)
"""Such values say nothing, and stand in many a text by chance."""
_DEEPEST: Final = 12
_CONSTANT_FIELDS: Final = frozenset({"timestamp", "level", "event", "service", "version", "source", "state", "logger"})
_known_secrets: Final[set[str]] = set()
_in_base64: Final[set[str]] = set()
"""What of each secret stands in base64 (RFC 4648) whatever comes before and after it, as in `user:password`."""
_filled: Final[dict[str, str]] = {}
"""Texts that variables put into the configuration, each with what is shown in its place."""


def register_secrets(values: Iterable[str]) -> None:
    """Mask these values wherever they appear from now on, in base64 too; too short ones would mask innocent text."""
    for value in values:
        if len(value) >= _MINIMUM_SECRET_LENGTH:
            _known_secrets.add(value)
            _in_base64.update(_cores(value.encode("utf-8", "surrogatepass")))


def _cores(secret: bytes) -> Iterator[str]:
    """The digits that hold nothing but the secret, for each of its three places in a group, in both alphabets."""
    for before, first in ((0, 0), (1, 2), (2, 3)):
        core = b64encode(bytes(before) + secret).decode()[first : (before + len(secret)) * 8 // 6]
        if len(core) >= _MINIMUM_BASE64_LENGTH:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def register_variable(name: str, value: str) -> None:
    """The value of an environment variable: a secret by its name, or else one that messages show as `${NAME}`."""
    if is_secret_name(name):
        register_secrets(_forms(value))
    else:
        register_filled(f"${{{name}}}", value)


def register_filled(written: str, value: str) -> None:
    """Show this text, which variables are part of, as it is written in the configuration: in messages, from now on.

    Texts of fewer than four characters, truth values and small numbers stay: they would mask innocent text.
    """
    if len(value.strip()) >= _MINIMUM_SECRET_LENGTH and not _TRIVIAL.fullmatch(value.strip()):
        _filled.update(dict.fromkeys(_forms(value), written))


def _forms(value: str) -> set[str]:
    """The value as it is, and quoted as in JSON and in Python."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}


def is_secret_name(name: str) -> bool:
    """Whether a field or variable of this name holds a secret, such as `API_KEY` or `db_password`."""
    return _SECRET_NAME.search(name) is not None


def mask_known(text: str) -> str:
    """The text without registered secrets, and else as it is: for results, which programs read."""
    for secret in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if "%" in text:
        text = _without_encoded(text)
    for core in _in_base64:
        while core in text:
            before, _, after = text.partition(core)
            text = before.rstrip(_BASE64_WORD) + MASK + after.lstrip(_BASE64_WORD + "=")
    return text


def _without_encoded(text: str) -> str:
    """The text without registered secrets of which any characters are percent-encoded, as in `abc%2Ddef`."""
    plain = unquote_plus(text)
    for secret in sorted(_known_secrets, key=len, reverse=True):
        if secret in plain or secret in unquote(text):
            text = re.sub("".join(map(_encodable, secret)), MASK, text)
    return text


def _encodable(character: str) -> str:
    """A pattern for the character as it is and percent-encoded."""
    encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    space = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|(?i:{encoded}){space})"


def mask_registered(text: str) -> str:
    """The text without registered secrets, and with variables in place of their values. Linear in the text's length."""
    return _unfilled(mask_known(text))


def mask_text(text: str) -> str:
    """The same, and without URL credentials, secret query parameters and bearer tokens: for all messages."""
    return _unfilled(mask_secrets(text))


def mask_secrets(text: str) -> str:
    """The text without secrets of any kind, and with variables' values as they are: for settings that are shown."""
    return mask_shapes(mask_known(text))


def _unfilled(text: str) -> str:
    """Each filled text as it is written, where it does not stand inside a longer word."""
    for value in sorted(_filled, key=len, reverse=True):
        if value in text:
            before = r"(?<!\w)" if value[0].isalnum() else ""
            after = r"(?!\w)" if value[-1].isalnum() else ""
            text = re.sub(before + re.escape(value) + after, lambda _, written=_filled[value]: written, text)
    return text


def masked(name: str, value: object, depth: int = 0) -> Any:
    """A field's value with everything secret in it masked, at any depth; a secret-named field is masked whole.

    Never raises: what cannot be shown is told by its type, and what is nested too deep by `...`.
    """
    if value is None or isinstance(value, bool | int | float):
        return MASK if value is not None and is_secret_name(name) else value
    if is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return mask_secrets(value) if name in _CONSTANT_FIELDS else mask_text(value)
    if name.startswith("_") and not depth:
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _masked_members(name, cast("_Members", value), depth) if depth < _DEEPEST else "..."
    return mask_text(_as_text(value))


_Members = Mapping[object, object] | list[object] | tuple[object, ...] | set[object] | frozenset[object]


def _masked_members(name: str, members: _Members, depth: int) -> Any:
    if isinstance(members, Mapping):
        return {mask_text(_as_text(key)): masked(_as_text(key), item, depth + 1) for key, item in members.items()}
    return [masked(name, item, depth + 1) for item in members]


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  whatever it is, the line that tells of it is worth more
        return f"<{type(value).__name__}>"
