"""How often something was seen, and where first and last. Adding is associative and commutative."""

from dataclasses import dataclass
from typing import NamedTuple

MOST_CHARACTERS = 80
"""So much of an example is kept."""


class Place(NamedTuple):
    """Where something was seen: the record's number in its pass, its locator, and what stood there, as text."""

    ordinal: int
    locator: str
    text: str


@dataclass(slots=True)
class Tally:
    """A count with its first and last example; a shape, which outlives its payloads, has no examples."""

    count: int = 0
    first: Place | None = None
    last: Place | None = None

    def add(self, count: int, first: Place | None, last: Place | None) -> None:
        """Count more of the same."""
        self.count += count
        if first is not None and (self.first is None or first < self.first):
            self.first = first
        if last is not None and (self.last is None or last > self.last):
            self.last = last

    def absorb(self, other: "Tally") -> None:
        """Add another's."""
        self.add(other.count, other.first, other.last)


def absorb_all(into: dict[str, Tally], others: dict[str, Tally]) -> None:
    """Add tallies by name."""
    for name, tally in others.items():
        into.setdefault(name, Tally()).absorb(tally)


def total(tallies: dict[str, Tally]) -> int:
    """The sum of all counts."""
    return sum(tally.count for tally in tallies.values())


def storable(text: str) -> str:
    """Text that jsonb can hold."""
    return (
        text
        if text.isascii() and "\x00" not in text
        else text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    )
