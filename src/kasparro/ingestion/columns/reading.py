"""How a column of cells is read as text, decimals or times: only what is plain. The rest is for Pydantic to judge.

Each reading takes what the row-wise reading of `schemas/readings.py` and the unified record take in the same way, and
leaves out more than those refuse: a property test over whole files holds the two to the same results.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.schemas.unified import MAX_KEY_BYTES

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

_DECIMAL: Final = r"^(?:-?[1-9][0-9]{0,14}(?:\.[0-9]{1,6})?|0(?:\.[0-9]{1,6})?|-0\.[0-9]{0,5}[1-9])$"
"""Numbers whose text is that of their Decimal: no sign or zeros too many, no exponent."""
_TIME: Final = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z?$"
_UTC: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A field of many records. `values` are what is stored, null where there is none; `canonical` is their JSON text
    in the record's hash, null where the field does not count; `good` is false where the row must be judged alone.
    """

    values: pa.Array
    canonical: pa.Array
    good: pa.Array


def without_nulls(cells: pa.Array, nulls: pa.Array) -> pa.Array:
    """The cells, null where they hold a text that means that there is no value."""
    return pc.if_else(pc.is_in(cells, nulls), pa.scalar(None, pa.string()), cells)


def quoted(texts: pa.Array) -> pa.Array:
    """JSON of texts that need no escape; null stays null."""
    return pc.binary_join_element_wise('"', texts, '"', "")


def enclosed(members: Sequence[pa.Array], begin: str, end: str) -> pa.Array:
    """Members between brackets, commas between them; those that are null are left out."""
    # A row in which everything is skipped would be missing from the result: the bracket is always there.
    joined = pc.binary_join_element_wise(begin, *members, ",", null_handling="skip")
    opened = pc.replace_substring(joined, f"{begin},", begin, max_replacements=1)
    return pc.binary_join_element_wise(opened, end, "")


def all_good(length: int) -> pa.Array:
    """No row needs to be judged alone."""
    return pa.repeat(pa.scalar(value=True), length)


def read_text(cells: pa.Array) -> Column:
    """Text in NFC."""
    values = normalized(cells)
    return Column(values, quoted(values), all_good(len(cells)))


def read_key(cells: pa.Array) -> Column:
    """Text that an index can hold: not empty, and short."""
    values = normalized(cells)
    lengths = pc.binary_length(values)
    good = pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, MAX_KEY_BYTES // 4))
    return Column(values, quoted(values), pc.fill_null(good, fill_value=True))


def read_decimal(cells: pa.Array) -> Column:
    """Exact decimals, as text."""
    good = pc.match_substring_regex(cells, _DECIMAL)
    fractions = pc.match_substring(cells, ".")
    trimmed = pc.utf8_rtrim(pc.utf8_rtrim(cells, "0"), ".")
    return Column(cells, pc.if_else(fractions, trimmed, cells), pc.fill_null(good, fill_value=True))


def read_time(cells: pa.Array, *, naive_is_utc: bool) -> Column:
    """Times in UTC that say so by `Z`, and such without a zone where that means UTC."""
    good = pc.match_substring_regex(cells, _TIME if naive_is_utc else _TIME.replace("Z?", "Z"))
    plain = pc.if_else(good, pc.utf8_rtrim(cells, "Z"), pa.scalar(None, pa.string()))
    try:
        times = plain.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # the thirtieth of February, say: one such cell costs the part its speed, nothing else
        return Column(pa.nulls(len(cells), _UTC), pa.nulls(len(cells), pa.string()), pc.is_null(cells))
    return Column(times.cast(_UTC), canonical_times(times), pc.fill_null(good, fill_value=True))


def canonical_times(times: pa.Array) -> pa.Array:
    """JSON of times in UTC, to the microsecond."""
    text = pc.replace_substring(times.cast(pa.timestamp("us")).cast(pa.string()), " ", "T", max_replacements=1)
    return pc.binary_join_element_wise('"', pc.replace_substring(text, ".000000", ""), '+00:00"', "")


def normalized(texts: pa.Array) -> pa.Array:
    """Unicode NFC, by the tables of Python: Arrow's are of another version."""
    if pc.all(pc.string_is_ascii(texts), skip_nulls=True, min_count=0).as_py():
        return texts
    normalize = unicodedata.normalize
    return pa.array([text if text is None else normalize("NFC", text) for text in texts.to_pylist()], pa.string())


def null_texts(nulls: Collection[str]) -> pa.Array:
    """The texts that mean that there is no value, for `without_nulls`."""
    return pa.array(sorted(nulls), pa.string())
