"""The profile of rows of text that stand as Arrow columns: the same as that of their payloads, at a fraction."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.ingestion.columns.text import TextColumns
from kasparro.ingestion.drift.from_payloads import member_path, shown
from kasparro.ingestion.drift.profile import ROOT, FieldProfile, Profile
from kasparro.ingestion.drift.sampling import STRUCTURE, VALUES, Tiers, sampled_ordinals
from kasparro.ingestion.drift.tallies import Place, Tally

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


def profile_columns(part: TextColumns, first_ordinal: int) -> Profile:
    """The profile of rows in their order; the first has this ordinal."""
    profile = Profile()
    rows = _Rows(part, first_ordinal, STRUCTURE)
    sampled = _Rows(part, first_ordinal, VALUES)
    profile.count(len(part), len(rows.positions), first_ordinal)
    locators = [sampled.locator(place) for place in range(len(sampled.positions))]
    for name, cells in zip(part.cells.schema.names, part.cells.columns, strict=True):
        if rows.positions:
            _count(profile.field(member_path(ROOT, name)), rows.taken(cells), rows)
        values = zip(cast("list[str]", sampled.taken(cells).to_pylist()), sampled.ordinals, locators, strict=True)
        if some := [each for each in values if each[0]]:
            profile.field(member_path(ROOT, name)).values.add(some)
    profile.trim()
    return profile


class _Rows:
    """The rows of a part that are looked at."""

    def __init__(self, part: TextColumns, first_ordinal: int, tiers: Tiers) -> None:
        self._part = part
        self.ordinals = sampled_ordinals(tiers, first_ordinal, len(part))
        self.positions = [ordinal - first_ordinal for ordinal in self.ordinals]
        self._indices = None if len(self.positions) == len(part) else pa.array(self.positions, pa.int64())

    def taken(self, cells: pa.Array) -> pa.Array:
        """Their cells."""
        return cells if self._indices is None else cells.take(self._indices)

    def locator(self, place: int) -> str:
        """As `part.locators()` gives it."""
        position = self.positions[place]
        if self._part.places is not None:
            return self._part.places[position].as_py()
        return f"{self._part.partition}:{self._part.first_line + position}"

    def tally(self, cells: pa.Array, count: int, first: int, last: int) -> Tally:
        """So many cells, from a first to a last one."""
        ends = [Place(self.ordinals[at], self.locator(at), shown(cells[at].as_py())) for at in (first, last)]
        return Tally(count, *ends)


def _count(found: FieldProfile, cells: pa.Array, rows: _Rows) -> None:
    """Count the rows of one column, those without a value apart."""
    size = len(cells)
    found.present.absorb(rows.tally(cells, size, 0, size - 1))
    nulls = _empty_places(cells)
    if not nulls:
        found.types["string"] = rows.tally(cells, size, 0, size - 1)
        return
    found.types["null"] = rows.tally(cells, len(nulls), nulls[0], nulls[-1])
    if len(nulls) < size:
        empty = set(nulls)
        first = next(place for place in range(size) if place not in empty)
        last = next(place for place in reversed(range(size)) if place not in empty)
        found.types["string"] = rows.tally(cells, size - len(nulls), first, last)


def _empty_places(cells: pa.Array) -> list[int]:
    lengths = pc.binary_length(cells)
    return [] if pc.min(lengths).as_py() else pc.indices_nonzero(pc.equal(lengths, 0)).to_pylist()
