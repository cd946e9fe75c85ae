"""A record's version as text that sorts as versions do, character by character; what has none is rejected.

Times stand in UTC to the microsecond (`2026-01-02T03:04:05.000000Z`). Numbers have 38 digits before the point and no
zeros behind it at the end; the digits of a negative one are turned to nines' complements, between `-` and `~`, so that
all of them come before the others, the lowest first. Texts stand as they are, in NFC.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.reading import normalized, read_time
from kasparro.ingestion.looks import column_look, found_look
from kasparro.ingestion.paths import Look, look_at
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.schemas.configuration import AnySourceConfig, CsvSourceConfig, RssSourceConfig
from kasparro.schemas.configuration.version import Version, VersionKind
from kasparro.schemas.readings import Defective, as_text, decimal_reading, shown, time_reading

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

DIGITS: Final = 38
"""So many stand before a number's point, and at most so many behind it."""
_FARTHEST: Final = 1_000
_COMPLEMENTS: Final = str.maketrans("0123456789", "9876543210")
_COUNT: Final = r"^(?:0|[1-9][0-9]{0,37})$"
_TEXTS: Final = frozenset((str,))
_INTEGERS: Final = frozenset((int,))
Declared = tuple[Version[Any], str, frozenset[str]]
"""The version of a source, its zone for times that come without one, and texts that mean that there is no value."""


def version_of(source: AnySourceConfig) -> Version[Any] | None:
    """What is configured. A feed's entries have none."""
    return None if isinstance(source, RssSourceConfig) else source.version


def compile_version(source: AnySourceConfig) -> Look | None:
    """What gives payloads their versions; None where a source has none. Raises RecordRejected with one defect."""
    version = version_of(source)
    if version is None:
        return None
    nulls, is_csv = frozenset(source.null_values), isinstance(source, CsvSourceConfig)
    found = column_look(version.field, None, nulls) if is_csv else found_look(look_at(version.field), None, nulls)
    read = _reading(version.type, source.timezone, nulls)
    naive_is_utc = source.timezone == "UTC"

    def one(payload: Payload) -> str:
        try:
            value = found.one(payload)
            text = None if value is None else read(value)
        except KeyError:
            raise _rejected(f'there is no column "{version.field}"') from None
        except Defective as defective:
            raise _rejected(defective.message) from None
        if text is None:
            raise _rejected(f"{version.field}, which tells the version, has no value")
        return text

    def many(payloads: Sequence[Payload]) -> list[str]:
        try:
            plain = _plain(version.type, found.many(payloads), naive_is_utc=naive_is_utc)
        except (KeyError, Defective):
            plain = None
        return list(map(one, payloads)) if plain is None else plain

    return Look(one, many)


def version_column(kind: VersionKind, cells: pa.Array, *, naive_is_utc: bool) -> tuple[pa.Array, pa.Array]:
    """The versions of cells, null where there is none, and where they are good: others must be judged alone."""
    if kind == "time":
        times = read_time(cells.fill_null(""), naive_is_utc=naive_is_utc)
        good = pc.is_valid(times.values) if times.good is None else pc.and_(times.good, pc.is_valid(times.values))
        return times_text(times.values), good
    if kind == "number":
        filled = cells.fill_null("")
        return pc.utf8_lpad(filled, DIGITS, "0"), pc.match_substring_regex(filled, _COUNT)
    texts = normalized(cells)
    return texts, pc.is_valid(texts)


def times_text(times: pa.Array) -> pa.Array:
    """Times in UTC, as text to the microsecond."""
    texts = times.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(texts, " ", "T", max_replacements=1), "Z", "")


def time_text(time: datetime) -> str:
    """The same of one time."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def number_text(number: Decimal) -> str:
    """See the module. Raises Defective for a number with more digits than that."""
    exponent = number.as_tuple().exponent
    if not number:
        return "0" * DIGITS
    if not isinstance(exponent, int) or number.adjusted() >= DIGITS or exponent < -_FARTHEST:
        raise _too_long(number)
    whole, _, fraction = f"{abs(number):f}".partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > DIGITS:
        raise _too_long(number)
    text = whole.rjust(DIGITS, "0") + ("." + fraction if fraction else "")
    return text if number > 0 else f"-{text.translate(_COMPLEMENTS)}~"


def _too_long(number: Decimal) -> Defective:
    reason = f"{shown(number)} has more than {DIGITS} digits before its point or behind it"
    return Defective("invalid_version", reason)


def _rejected(message: str) -> RecordRejected:
    return RecordRejected(Defect("invalid_version", message, "version"))


def _reading(kind: VersionKind, zone_name: str, nulls: frozenset[str]) -> Callable[[Any], str | None]:
    """From a value, not None, to the text; None for a null text. Raises Defective."""
    if kind == "time":
        read_a_time = time_reading(zone_name, nulls)
        return lambda value: None if (time := read_a_time(value)) is None else time_text(time)
    if kind == "number":
        read_a_decimal = decimal_reading(nulls)
        return lambda value: None if (number := read_a_decimal(value)) is None else number_text(number)
    return _text


def _text(value: Any) -> str:
    text = unicodedata.normalize("NFC", as_text(value))
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Defective("invalid_version", f'"{shown(text)}" cannot be stored')
    return text


def _plain(kind: VersionKind, values: list[Any], *, naive_is_utc: bool) -> list[str] | None:
    """The texts of values that are all plainly written; None where one is not."""
    kinds = frozenset(map(type, values))
    if kind == "number" and kinds == _INTEGERS and min(values) >= 0 and max(values) < 10**DIGITS:
        return [str(value).rjust(DIGITS, "0") for value in values]
    if kinds != _TEXTS:
        return None
    joined = "".join(values)
    if not joined.isascii() or "\x00" in joined:
        return None
    if kind == "text":
        return values
    cells = pa.array(values, pa.string())
    cells = pc.replace_substring(cells, "+00:00", "Z") if kind == "time" else cells
    texts, good = version_column(kind, cells, naive_is_utc=naive_is_utc)
    return cast("list[str]", texts.to_pylist()) if pc.all(good, min_count=0).as_py() else None
