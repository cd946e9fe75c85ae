"""Records that are older than what stands: such a record loses, and whatever it is, it changes nothing.

A batch without its losers is judged as any other; the verdict is then that of the whole batch. Only sources that
declare `version:` come here: no statement and no look at a row is spent on others.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from kasparro.core.database import Connection
from kasparro.schemas.batches import LaneBatch, RunStamp
from kasparro.services import raw_rows
from kasparro.services.verdict import RawRows, Tally, UnifiedRows, Verdict

_KNOWN = """
with comparable as materialized (
    select other.id from mapping_versions mine join mapping_versions other
                                               on other.mapping -> 'version' = mine.mapping -> 'version'
    where mine.id = $2::integer
)
select given.record_key, known.id,
       case when known.deletion is distinct from 'gone' and known.deletion is distinct from 'replay'
                 and known.mapping_version in (select id from comparable) then known.version end as version
from (select distinct record_key from unnest($3::text[]) as record_key) given cross join lateral (
    select id, version, mapping_version, deletion
    from unified_data where source_id = $1::integer and record_key = given.record_key limit 1) known
"""
_STANDING = """
select given.record_key, known.id, known.raw_id, known.content_hash
from (select distinct record_key from unnest($2::text[]) as record_key) given cross join lateral (
    select id, raw_id, content_hash
    from unified_data where source_id = $1::integer and record_key = given.record_key limit 1) known
"""


@dataclass(frozen=True, slots=True)
class Contest:
    """A batch with what is left of it to be judged, which is at the positions `kept`. `lost` are those of records that
    change nothing, `seen` the unified ids that these name."""

    left: LaneBatch
    kept: Sequence[int]
    lost: Sequence[int]
    seen: Sequence[int]

    def verdict(self, of_left: Verdict) -> Verdict:
        """The verdict on the whole batch."""
        if not self.lost:
            return of_left
        raw, new, changed = of_left.raw, of_left.new, of_left.changed
        return replace(
            of_left,
            tally=of_left.tally + Tally(unchanged=len(self.lost)),
            lost=self.lost,
            seen=list({*of_left.seen, *self.seen}),
            raw=RawRows(self._positions(raw.positions), raw.ids, raw.previous),
            new=UnifiedRows(self._positions(new.positions), new.ids, new.raw_ids),
            changed=UnifiedRows(self._positions(changed.positions), changed.ids, changed.raw_ids),
        )

    def _positions(self, positions: Sequence[int] | None) -> list[int]:
        return [self.kept[position] for position in positions or ()]


async def contest(connection: Connection, batch: LaneBatch, stamp: RunStamp) -> Contest | None:
    """What is left of a batch without the records that are older than what stands; None where none can be."""
    versions = batch.versions()
    if versions is None:
        return None
    keys = batch.accepted_keys()
    rows = await connection.fetch(_KNOWN, stamp.source_id, stamp.mapping_version, keys)
    lost = losers(keys, versions, {row["record_key"]: row["version"] for row in rows if row["version"] is not None})
    return without(batch, keys, lost, {row["record_key"]: row["id"] for row in rows})


def losers(keys: Sequence[str], versions: Sequence[str], known: Mapping[str, str]) -> list[int]:
    """Positions of records with a lower version than the one before in their key, or than `known` says that it has."""
    newest = dict(known)
    lost: list[int] = []
    for position, (key, version) in enumerate(zip(keys, versions, strict=True)):
        if version < newest.get(key, ""):
            lost.append(position)
        else:
            newest[key] = version
    return lost


def without(batch: LaneBatch, keys: Sequence[str], lost: Sequence[int], ids: Mapping[str, int]) -> Contest:
    """The batch without the records at these positions; `ids` are those of the unified rows of keys that have one."""
    if not lost:
        return Contest(batch, (), (), ())
    gone = set(lost)
    kept = [position for position in range(batch.rows.num_rows) if position not in gone]
    stored = batch.stored
    if stored is not None:
        stored = replace(stored, raw_ids=[stored.raw_ids[position] for position in kept])
    left = replace(batch, rows=batch.rows.take(pa.array(kept, pa.int64())), stored=stored)
    return Contest(left, kept, lost, [ids[keys[position]] for position in lost if keys[position] in ids])


@dataclass(frozen=True, slots=True)
class Standing:
    """A record as it stands: its unified row, and the payload that it points at, None where that is there no more."""

    unified_id: int
    content_hash: bytes
    payload: str | None


async def standing(connection: Connection, stamp: RunStamp, keys: Sequence[str]) -> dict[str, Standing]:
    """The records of these keys, deleted ones included, by key."""
    rows = await connection.fetch(_STANDING, stamp.source_id, keys)
    found = await raw_rows.payloads(connection, stamp.source_type, [row["raw_id"] for row in rows])
    payloads = {raw_id: raw.payload for raw_id, raw in found.items()}
    return {row["record_key"]: Standing(row["id"], row["content_hash"], payloads.get(row["raw_id"])) for row in rows}
