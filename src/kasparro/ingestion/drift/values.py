"""What is known of a field's sampled values: what they read as, their magnitudes and lengths, and a sample of them.

The sample of distinct values is those of the smallest hashes, with exact counts ("bottom k"): all values of a small
enumeration, and of the others a part that two runs choose in the same way, so that it tells how many distinct values
there are, how many repeat, and what two fields have in common. Adding is associative and commutative.
"""

import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any, Final

from kasparro.ingestion.drift.numbers import bucket_of
from kasparro.ingestion.drift.readings import NULL_TEXTS, number_of, read_text
from kasparro.ingestion.drift.tallies import MOST_CHARACTERS, Place, Tally, absorb_all, storable, total

KEPT_VALUES: Final = 64
"""So many distinct values are kept: twice what an enumeration has, and a share is known within a few percent."""
_HASHES: Final = 1 << 32
_MOST: Final = sys.float_info.max
"""JSON has no infinity."""
Sampled = Iterable[tuple[Any, int, str]]
"""A value, its record's ordinal and its locator."""


@dataclass(slots=True)
class Kept:
    """A distinct value, as text of limited length, and where it was seen."""

    text: str
    tally: Tally


@dataclass(slots=True)
class Extreme:
    """The least or the largest number, and its first place."""

    number: float
    place: Place | None


@dataclass(slots=True)
class Values:
    """`lengths` are counts of texts by the number of binary digits of their length; `nulls` are texts that mean that
    there is no value, which count nowhere else.
    """

    readings: dict[str, Tally] = field(default_factory=dict[str, Tally])
    numbers: dict[int, int] = field(default_factory=dict[int, int])
    low: Extreme | None = None
    high: Extreme | None = None
    lengths: dict[int, int] = field(default_factory=dict[int, int])
    kept: dict[int, Kept] = field(default_factory=dict[int, Kept])
    nulls: Tally = field(default_factory=Tally)

    @property
    def count(self) -> int:
        return total(self.readings)

    @property
    def all_kept(self) -> bool:
        """Whether every distinct value is known."""
        return len(self.kept) < KEPT_VALUES

    @property
    def distinct(self) -> float:
        """How many distinct values there are, an estimate within about 12 % beyond KEPT_VALUES."""
        return len(self.kept) if self.all_kept else (KEPT_VALUES - 1) * _HASHES / (max(self.kept) + 1)

    @property
    def duplicate_share(self) -> float:
        """The share of values that repeat another one, among those kept."""
        counted = sum(kept.tally.count for kept in self.kept.values())
        return 1 - len(self.kept) / counted if counted else 0.0

    def texts(self) -> Mapping[str, Tally]:
        """The kept values by their text."""
        return {kept.text: kept.tally for kept in self.kept.values()}

    def add(self, values: Sampled) -> None:
        """Add what was sampled, in the order of records; values are neither null nor empty, nor objects nor lists."""
        groups = _grouped(values)
        numbers: list[tuple[float, _Group]] = []
        readings: dict[str, list[_Group]] = {}
        for group in groups:
            kind, text, reading = group.kind, group.text, group.kind
            if kind == "text":
                if text in NULL_TEXTS:
                    self.nulls.add(group.count, group.first, group.last)
                    continue
                reading = read_text(text)
                size = len(text).bit_length()
                self.lengths[size] = self.lengths.get(size, 0) + group.count
            readings.setdefault(reading, []).append(group)
            if reading.endswith(_NUMERIC):
                numbers.append((min(max(number_of(text, reading), -_MOST), _MOST), group))
        for reading, some in readings.items():
            last = max(some, key=attrgetter("last_ordinal"))
            self.readings.setdefault(reading, Tally()).add(sum([each.count for each in some]), some[0].first, last.last)
        self._add_numbers(numbers)
        self._keep_least(groups)

    def absorb(self, other: "Values") -> None:
        """Add another's."""
        absorb_all(self.readings, other.readings)
        self.nulls.absorb(other.nulls)
        for mine, theirs in ((self.numbers, other.numbers), (self.lengths, other.lengths)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        for extreme in (other.low, other.high):
            self._widen(extreme)
        for hashed, kept in other.kept.items():
            self._keep_hashed(hashed, kept.text, kept.tally)
        self._trim()

    def _add_numbers(self, numbers: list[tuple[float, "_Group"]]) -> None:
        if not numbers:
            return
        for number, group in numbers:
            bucket = bucket_of(number)
            self.numbers[bucket] = self.numbers.get(bucket, 0) + group.count
        for number, group in (min(numbers, key=itemgetter(0)), max(numbers, key=itemgetter(0))):
            self._widen(Extreme(number, group.first))

    def _keep_least(self, groups: list["_Group"]) -> None:
        """Keep the values of the smallest hashes."""
        bound = _HASHES if self.all_kept else max(self.kept) + 1
        hashed = [(_hash_of(group.text), place) for place, group in enumerate(groups) if group.text not in NULL_TEXTS]
        wanted = sorted(item for item in hashed if item[0] < bound)
        last = -1
        distinct = 0
        for key, place in wanted:
            distinct += key != last
            if distinct > KEPT_VALUES:
                break
            last, group = key, groups[place]
            self._keep_hashed(key, storable(group.text[:MOST_CHARACTERS]), Tally(group.count, group.first, group.last))
        self._trim()

    def _widen(self, found: Extreme | None) -> None:
        if found is None:
            return
        if self.low is None or _key(found) < _key(self.low):
            self.low = found
        if self.high is None or (-found.number, *_key(found)[1:]) < (-self.high.number, *_key(self.high)[1:]):
            self.high = found

    def _keep_hashed(self, hashed: int, text: str, tally: Tally) -> None:
        standing = self.kept.get(hashed)
        if standing is None:
            self.kept[hashed] = Kept(text, Tally(tally.count, tally.first, tally.last))
        else:
            standing.text = min(standing.text, text)
            standing.tally.absorb(tally)

    def _trim(self) -> None:
        if len(self.kept) > KEPT_VALUES:
            self.kept = {hashed: self.kept[hashed] for hashed in sorted(self.kept)[:KEPT_VALUES]}


_NUMERIC: Final = ("integer", "decimal", "decimal comma", "thousands")


def _key(extreme: Extreme) -> tuple[Any, ...]:
    """Orders extremes; of equal ones the earliest place, and one without a place last."""
    return (extreme.number, extreme.place is None, extreme.place or ())


class _Group:
    """A distinct value of a batch: `text`, `integer`, `decimal` or `boolean`, its text, how often and where."""

    __slots__ = ("count", "kind", "last_locator", "last_ordinal", "locator", "ordinal", "text")

    def __init__(self, value: Any, ordinal: int, locator: str) -> None:
        self.kind, self.text = ("text", value) if value.__class__ is str else _told(value.__class__, value)
        self.count = 1
        self.ordinal = self.last_ordinal = ordinal
        self.locator = self.last_locator = locator

    @property
    def first(self) -> Place:
        return Place(self.ordinal, self.locator, self.text[:MOST_CHARACTERS])

    @property
    def last(self) -> Place:
        return Place(self.last_ordinal, self.last_locator, self.text[:MOST_CHARACTERS])


def _grouped(values: Sampled) -> list[_Group]:
    """Each distinct value, in the order of their first places."""
    groups: dict[Any, _Group] = {}
    for value, ordinal, locator in values:
        key = value if value.__class__ is str else (value.__class__, value)
        group = groups.get(key)
        if group is None:
            groups[key] = _Group(value, ordinal, locator)
        else:
            group.count += 1
            group.last_ordinal, group.last_locator = ordinal, locator
    return list(groups.values())


def _hash_of(text: str) -> int:
    """A hash of 32 bits that is the same everywhere; a checksum's bits, mixed."""
    checksum = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    mixed = ((checksum >> 16) ^ checksum) * 0x45D9F3B & 0xFFFFFFFF
    mixed = ((mixed >> 16) ^ mixed) * 0x45D9F3B & 0xFFFFFFFF
    return (mixed >> 16) ^ mixed


def _told(kind: type, value: Any) -> tuple[str, str]:
    """What a value is, and its text: numbers by value, so that 4 is 4.0."""
    if kind is bool:
        return "boolean", "true" if value else "false"
    try:
        number = float(value)
    except OverflowError:  # an integer beyond every float
        number = float("inf") if value > 0 else float("-inf")
    if number != number:  # noqa: PLR0124 - no number, which JSON does not have
        number = 0.0
    whole = kind is int or (isinstance(value, Decimal | float) and number.is_integer())
    return ("integer" if whole else "decimal"), f"{number:.15g}"
