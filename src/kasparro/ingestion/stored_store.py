"""One lane's writer where records are raw rows that stand already and were rejected: of a requeue."""

from datetime import datetime

from kasparro.ingestion.loaded import Loaded
from kasparro.ingestion.store import PostgresLaneStore
from kasparro.schemas.batches import LaneBatch, StoredShare
from kasparro.services import deletions, first_load, loading, rejects, stored


class StoredLaneStore(PostgresLaneStore):
    """Writes no raw rows: unified rows point at those that were read. Rejects of the same payloads are settled anew."""

    async def _load(self, batch: LaneBatch, first: first_load.FirstLoad | None, at: datetime) -> Loaded:
        del first  # there are raw rows, so this is none
        connection, stamp, origin = self._connection, self._stamp, batch.stored
        assert origin is not None
        verdict, unchanged = await stored.classify(connection, batch, stamp)
        written = await loading.write(connection, batch, verdict, stamp, at)
        loaded = Loaded().and_verdict(batch, verdict, written)
        if batch.tombstones:  # by today's `deletes.tombstone`
            raw_ids = origin.tombstone_raw_ids
            loaded = loaded.and_buried(
                batch, await deletions.bury_stored(connection, stamp, batch.tombstones, raw_ids, at)
            )
        await self._settle_rejects(batch, origin, set(unchanged), at)
        return loaded

    async def _settle_rejects(self, batch: LaneBatch, origin: StoredShare, unchanged: set[int], at: datetime) -> None:
        """What was open of these payloads is so no more, unless they are rejected now."""
        accepted, source_id = origin.raw_ids[: batch.accepted], self._stamp.source_id
        landed = [raw_id for raw_id in accepted if raw_id not in unchanged]
        keys = [key for key, raw_id in zip(batch.accepted_keys(), accepted, strict=True) if raw_id not in unchanged]
        rejected = origin.raw_ids[batch.accepted :]
        await stored.supersede(self._connection, source_id, keys, landed, at)
        for raw_ids, state, resolution in (
            (landed, "requeued", "loaded"),
            (list(unchanged), "resolved", "superseded"),
            (origin.filtered_raw_ids, "resolved", "filtered"),
            (origin.tombstone_raw_ids, "resolved", "tombstone"),
            (origin.rejected_raw_ids, "resolved", "other_reason"),
        ):
            await rejects.settle(self._connection, source_id, raw_ids, state, resolution, at)
        if batch.reasons:
            by_hash = dict(zip(batch.content_hashes()[batch.accepted :], rejected, strict=True))
            await rejects.record(self._connection, batch.reasons, by_hash, self._stamp, at)
