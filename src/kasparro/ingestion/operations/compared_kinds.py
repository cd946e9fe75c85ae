"""Which records of two readings are new, changed, deleted, gone, remapped or unchanged, and what cannot be told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from pyroaring import BitMap64

from kasparro.core.database import Connection
from kasparro.core.masking import mask_text
from kasparro.schemas.pages.comparison import RecordKind, RecordTotals
from kasparro.services import compared_records, read_passes, standing
from kasparro.services.compared_records import Between
from kasparro.services.read_passes import Reading
from kasparro.services.standing import Standing

KINDS: Final[tuple[RecordKind, ...]] = ("new", "changed", "deleted", "gone", "remapped", "unchanged")
DIFFERENCES: Final[tuple[RecordKind, ...]] = ("new", "changed", "deleted", "gone", "remapped")


@dataclass(frozen=True, slots=True)
class Kinds:
    """Ids of records by kind; a kind that cannot be told is not in it, and `notes` say why.

    `known` are those that had a payload before the base ended, `rewritten` is how many records were written again with
    the payload that they had.
    """

    ids: dict[RecordKind, BitMap64] = field(default_factory=dict[RecordKind, BitMap64])
    fresh: BitMap64 = field(default_factory=BitMap64)
    rewritten: int = 0
    notes: tuple[str, ...] = ()

    def totals(self) -> RecordTotals:
        """How many of each kind."""
        counts = {kind: len(self.ids[kind]) if kind in self.ids else None for kind in KINDS}
        return RecordTotals.model_validate(counts)

    def count(self, kinds: Sequence[RecordKind]) -> int:
        """How many records of these kinds there are, as far as it can be told."""
        return sum(len(self.ids[kind]) for kind in kinds if kind in self.ids)

    def page(
        self, kinds: Sequence[RecordKind], after: tuple[int, int] | None, limit: int
    ) -> list[tuple[RecordKind, int]]:
        """Kinds and ids of the next records, by kind and then by id; `after` is the place of a kind, and an id."""
        return list(islice(self._following(kinds, after or (0, -1)), limit))

    def _following(self, kinds: Sequence[RecordKind], after: tuple[int, int]) -> Iterator[tuple[RecordKind, int]]:
        for place, kind in enumerate(kinds):
            if place >= after[0] and kind in self.ids:
                first = after[1] + 1 if place == after[0] else 0
                for number in self.ids[kind].iter_equal_or_larger(first):
                    yield kind, number


async def kinds_of(connection: Connection, between: Between) -> Kinds:
    """Compare all records. In a transaction that shows all statements the same."""
    base, target = between.base, between.target
    obstacle = _obstacle(base, target)
    if obstacle is not None:
        return Kinds(notes=(obstacle,))
    before, after = [await standing.of_reading(connection, reading) for reading in (base, target)]
    in_base, in_target = [await compared_records.seen(connection, each.run_ids) for each in (before, after)]
    if in_base is None or in_target is None:
        return Kinds(notes=(_folded(before if in_base is None else after),))
    if dropped := await compared_records.missing_payloads(connection, between):
        told = f"records: retention has dropped {dropped:,} payloads that came between the two: changes cannot be told"
        return Kinds(notes=(told,))
    moved = await compared_records.moved(connection, between)
    new = (in_target - in_base) if before.is_full else (in_target & moved.fresh)
    both = in_target - new
    changed = both & moved.changed
    ids: dict[RecordKind, BitMap64] = {
        "new": new,
        "changed": changed - moved.deleted,
        "deleted": changed & moved.deleted,
    }
    rest = both - changed
    rewritten, remapped, notes = await _remapped(connection, rest, moved.back & rest, between)
    ids |= remapped
    gone, why_not = await _gone(connection, in_base - in_target, before, after)
    if gone is not None:
        ids["gone"] = gone
    notes += [why_not] if why_not else []
    notes += [_UNSURE.format(moved.unsure)] if moved.unsure else []
    return Kinds(ids, moved.fresh, rewritten, tuple(notes + _notes(before, after)))


_UNSURE: Final = (
    "{:,} records count as changed that changed more than once since a payload that retention has dropped: they may be "
    "what they were again"
)


def _obstacle(base: Reading, target: Reading) -> str | None:
    """Why records cannot be compared at all."""
    for reading in (base, target):
        if not reading.is_closed:
            told = "compare again when it has, or, if its process died, after the next run"
            return f"records: {_runs(reading)} has not ended: {told}"
        if reading.last_raw_id is None:
            return f"records: {_runs(reading)} is from before kasparro kept what is needed to compare records"
    if base.pass_id == target.pass_id:
        return "records: both runs carried the same reading, the later one went on with it: there is nothing to compare"
    return None


async def _remapped(
    connection: Connection, ids: BitMap64, back: BitMap64, between: Between
) -> tuple[int, dict[RecordKind, BitMap64], list[str]]:
    """How often records were written again with the payload that they had; and which of these `ids`, whose payload is
    the same, became others by another mapping and which did not, where that is known. Of those that have come `back` to
    their payload it is not: other payloads made others of them.
    """
    again = await compared_records.rewritten(connection, between)
    if between.same_mapping or not (again or back):
        return again, {"remapped": BitMap64(), "unchanged": ids}, []
    lost, changed = await compared_records.remapped(connection, ids - back, between) if again else (0, BitMap64())
    if lost:
        since = f"{lost:,} of the records with the same payload were written again after {_runs(between.target)}"
        told = f"remapped, unchanged: {since}: which of them the mapping had made others is not known any more"
        return again, {}, [told]
    told = f"without {len(back):,} records that had another payload in between: of these it is not known"
    kinds: dict[RecordKind, BitMap64] = {"remapped": changed, "unchanged": ids - back - changed}
    return again, kinds, [f"remapped, unchanged: {told}"] if back else []


async def _gone(
    connection: Connection, ids: BitMap64, before: Standing, after: Standing
) -> tuple[BitMap64 | None, str | None]:
    """Records that the target lacks; or why that is not known."""
    if before.read.pass_id == after.read.pass_id and before.as_it_was and after.as_it_was:
        return ids, None
    for each in (before, after):
        if not each.is_full:
            reading = each.own if each.read.is_full else each.read
            return None, f"gone: {_runs(reading)} is no complete reading ({_incomplete(reading)})"
        locator = await read_passes.nameless_reject(connection, each.read)
        if locator is not None:
            place = mask_text(locator)
            return None, f"gone: {place} may have been rejected in {_runs(each.read)}, and its key cannot be told"
    return ids - await compared_records.deleted_before(connection, ids, before.own), None


def _incomplete(reading: Reading) -> str:
    reasons = {
        None: "was not finished", "window": "only what was added was read, or records may have slipped past its pages",
        "none": "it is as it was, and was not read",
    }  # fmt: skip
    for partition, coverage in sorted(reading.coverage.items()):
        if coverage != "full":
            return f"{mask_text(partition)}: {reasons.get(coverage, coverage)}"
    return "it did not read the source on"


def _folded(each: Standing) -> str:
    runs = _runs(each.read)
    return f"records: retention has folded the batches of {runs}: which records it read is not known"


def _notes(before: Standing, after: Standing) -> list[str]:
    """Where a reading stands on an earlier one; and of records that it has seen and not taken."""
    told = [_stands_on(each) for each in (before, after) if not each.is_own]
    for reading in (before.own, after.own):
        counters = reading.counters
        outcomes = (("rejected", counters.rejected), ("filtered", counters.filtered))
        held = [f"{count:,} {name}" for name, count in outcomes if count]
        if held:
            told.append(f"{_runs(reading)}: {' and '.join(held)} records stand as they did before it, if they stood")
    return told


def _stands_on(each: Standing) -> str:
    loaded = f", with what run {', run '.join(map(str, each.requeues))} loaded from rejects" if each.requeues else ""
    return f"{_runs(each.own)} found nothing to read: compared is what {_runs(each.read)} read{loaded}"


def _runs(reading: Reading) -> str:
    if len(reading.run_ids) == 1:
        return f"run {reading.run_ids[0]}"
    return f"the reading of runs {', '.join(map(str, reading.run_ids))}"
