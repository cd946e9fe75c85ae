"""A source's very first load: with no unified row to compare with, a batch is judged here, without the database.

Rows are reduced by key by the same rule as in `classification.py` for keys without a unified row. A key that an earlier
batch of the same pass has loaded shows as a unique violation: the caller rolls back to its savepoint and asks the
database instead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch
from kasparro.services.verdict import NO_UNIFIED_ROWS, RawRows, Tally, UnifiedRows, Verdict
from kasparro.services.versions import losers

_IDS = """
select array(select nextval('raw_id_seq') from generate_series(1, $1::integer)) as raw,
       array(select nextval('unified_data_id_seq') from generate_series(1, $2::integer)) as unified
"""


@dataclass(frozen=True, slots=True)
class Reduction:
    """Which rows become raw and unified rows. Positions are those in the batch's `rows`."""

    raw_positions: list[int]
    previous: list[int | None]
    """Of each raw row: the place in `raw_positions` of the raw row before it in its key."""
    unified_positions: list[int]
    current: list[int]
    """Of each unified row: the place in `raw_positions` of the raw row it points at."""


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """A batch that is judged but for the ids; `reduction` is None where each row has a key of its own."""

    rows: int
    reduction: Reduction | None
    lost: Sequence[int] = ()
    """Positions of rows that are older than the one before them in their key."""

    @property
    def records(self) -> int:
        """How many unified rows it makes."""
        return self.rows if self.reduction is None else len(self.reduction.unified_positions)

    @property
    def raw_rows(self) -> int:
        """How many raw rows it makes."""
        return self.rows if self.reduction is None else len(self.reduction.raw_positions)


def reduce_by_key(keys: list[str], content_hashes: list[bytes], lost: Collection[int] = ()) -> Reduction:
    """The first row of a key is inserted, later ones are duplicates; a raw row wherever the payload changes.

    Rows at the positions `lost` do nothing.
    """
    raw_positions: list[int] = []
    previous: list[int | None] = []
    newest: dict[str, int] = {}
    last_row: dict[str, int] = {}
    for position, (key, content_hash) in enumerate(zip(keys, content_hashes, strict=True)):
        if position in lost:
            continue
        earlier = newest.get(key)
        if earlier is None or content_hashes[raw_positions[earlier]] != content_hash:
            newest[key] = len(raw_positions)
            raw_positions.append(position)
            previous.append(earlier)
        last_row[key] = position
    unified = sorted((position, newest[key]) for key, position in last_row.items())
    return Reduction(raw_positions, previous, [position for position, _ in unified], [raw for _, raw in unified])


def prepare(batch: LaneBatch) -> FirstLoad | None:
    """Everything that needs no ids; CPU work, done before the transaction.

    None when this batch must be judged by the database: it has rejects, which may have been seen before, tombstones, or
    no rows.
    """
    if batch.reasons or batch.tombstones or batch.rows.num_rows == 0:
        return None
    if not batch.repeats_keys():
        return FirstLoad(batch.rows.num_rows, None)
    keys, versions = batch.keys(), batch.versions()
    lost = () if versions is None else losers(keys, versions, {})
    return FirstLoad(batch.rows.num_rows, reduce_by_key(keys, batch.content_hashes(), frozenset(lost)), lost)


async def judge(connection: Connection, first: FirstLoad) -> Verdict:
    """The verdict, with ids of the sequences; inside the batch's transaction."""
    ids = await connection.fetchrow(_IDS, first.raw_rows, first.records)
    assert ids is not None
    return verdict(first, ids["raw"], ids["unified"])


def verdict(first: FirstLoad, raw_ids: list[int], unified_ids: list[int]) -> Verdict:
    """What asking the database would have come to."""
    tally = Tally(
        inserted=first.records,
        unchanged=len(first.lost),
        duplicate=first.rows - len(first.lost) - first.records,
        duplicate_payload=first.raw_rows - first.records,
    )
    reduction = first.reduction
    if reduction is None:
        raw = RawRows(None, raw_ids, [None] * len(raw_ids))
        return Verdict(tally, [], raw, UnifiedRows(None, unified_ids, raw_ids), NO_UNIFIED_ROWS, [])
    previous = [None if place is None else raw_ids[place] for place in reduction.previous]
    current = [raw_ids[place] for place in reduction.current]
    raw = RawRows(reduction.raw_positions, raw_ids, previous)
    new = UnifiedRows(reduction.unified_positions, unified_ids, current)
    return Verdict(tally, [], raw, new, NO_UNIFIED_ROWS, [], first.lost)
