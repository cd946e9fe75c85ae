"""How a column of cells is read as text, decimals or times: only what is plain. The rest is for Pydantic to judge.

Each reading takes what the row-wise reading of `schemas/readings.py` and the unified record take in the same way, and
leaves out more than those refuse: a property test over whole files holds the two to the same results.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.json_text import Pieces, text_pieces
from kasparro.schemas.unified import MAX_KEY_BYTES

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

_DECIMAL: Final = r"^(?:-?[1-9][0-9]{0,14}(?:\.[0-9]{1,6})?|0(?:\.[0-9]{1,6})?|-0\.[0-9]{0,5}[1-9])$"
"""Numbers whose text is that of their Decimal: no sign or zeros too many, no exponent."""
_TIME: Final = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z?$"
_UTC: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A field of many records. `values` are what is stored, null where there is none; `canonical` is their JSON in the
    record's hash, null where the field does not count; `good` is false where the row must be judged alone (None:
    nowhere).
    """

    values: pa.Array
    canonical: Pieces
    good: pa.Array | None = None


def without_nulls(cells: pa.Array, nulls: pa.Array) -> pa.Array:
    """The cells, null where they hold a text that means that there is no value."""
    found = pc.is_in(cells, nulls)
    return pc.if_else(found, pa.scalar(None, pa.string()), cells) if found.true_count else cells


def read_text(cells: pa.Array) -> Column:
    """Text in NFC."""
    values = normalized(cells)
    return Column(values, text_pieces(values))


def read_key(cells: pa.Array) -> Column:
    """Text that an index can hold: not empty, and short."""
    values = normalized(cells)
    lengths = pc.binary_length(values)
    good = pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, MAX_KEY_BYTES // 4))
    return Column(values, text_pieces(values), _or_null(good))


def read_decimal(cells: pa.Array) -> Column:
    """Exact decimals, as text."""
    good = _or_null(pc.match_substring_regex(cells, _DECIMAL))
    fractions = pc.match_substring(cells, ".")
    if not fractions.true_count:
        return Column(cells, (cells,), good)
    trimmed = pc.utf8_rtrim(pc.utf8_rtrim(cells, "0"), ".")
    return Column(cells, (pc.if_else(fractions, trimmed, cells),), good)


def read_time(cells: pa.Array, *, naive_is_utc: bool) -> Column:
    """Times in UTC that say so by `Z`, and such without a zone where that means UTC."""
    good = pc.match_substring_regex(cells, _TIME if naive_is_utc else _TIME.replace("Z?", "Z"))
    known = cells if good.true_count == len(cells) else pc.if_else(good, cells, pa.scalar(None, pa.string()))
    plain = pc.utf8_rtrim(known, "Z")
    try:
        times = plain.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # the thirtieth of February, say: one such cell costs the part its speed, nothing else
        blank = pa.nulls(len(cells), pa.string())
        return Column(pa.nulls(len(cells), _UTC), (blank,), pc.is_null(cells))
    if pc.match_substring(plain, ".").true_count:  # such as .5, which has six digits in the canonical form
        plain = times.cast(pa.string())
    return Column(times.cast(_UTC), ('"', _canonical_moments(plain), '+00:00"'), _or_null(good))


def canonical_times(times: pa.Array) -> pa.Array:
    """JSON of times in UTC, to the microsecond."""
    moments = _canonical_moments(times.cast(pa.timestamp("us")).cast(pa.string()))
    return pc.binary_join_element_wise('"', moments, '+00:00"', "")


def _canonical_moments(texts: pa.Array) -> pa.Array:
    """ISO 8601 without a zone; six digits of a second's fraction, or none."""
    text = pc.replace_substring(texts, " ", "T", max_replacements=1)
    return pc.replace_substring(text, ".000000", "") if pc.match_substring(text, ".").true_count else text


def _or_null(good: pa.Array) -> pa.Array:
    """A field that a record does not have is no reason to judge it alone."""
    return pc.fill_null(good, fill_value=True) if good.null_count else good


def normalized(texts: pa.Array) -> pa.Array:
    """Unicode NFC, by the tables of Python: Arrow's are of another version."""
    if pc.all(pc.string_is_ascii(texts), skip_nulls=True, min_count=0).as_py():
        return texts
    normalize = unicodedata.normalize
    return pa.array([text if text is None else normalize("NFC", text) for text in texts.to_pylist()], pa.string())


def null_texts(nulls: Collection[str]) -> pa.Array:
    """The texts that mean that there is no value, for `without_nulls`."""
    return pa.array(sorted(nulls), pa.string())
