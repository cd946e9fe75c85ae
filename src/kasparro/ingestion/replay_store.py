"""One lane's writer in a replay, where each record is what an earlier mapping made of the same payload."""

from dataclasses import replace
from datetime import datetime

from kasparro.ingestion.loaded import Loaded
from kasparro.ingestion.store import PostgresLaneStore
from kasparro.schemas.batches import LaneBatch, ReplayedShare
from kasparro.services import first_load, loading, rejects, replaying
from kasparro.services.deletions import Buried


class ReplayLaneStore(PostgresLaneStore):
    """Writes no raw rows: unified rows go on pointing at those that they point at."""

    async def _load(self, batch: LaneBatch, first: first_load.FirstLoad | None, at: datetime) -> Loaded:
        del first  # there are records
        connection, stamp, replayed = self._connection, self._stamp, batch.replayed
        assert replayed is not None
        verdict = replaying.judge(batch, replayed, stamp)
        written = await loading.write(connection, batch, verdict, stamp, at)
        seen, hashes = [*verdict.seen], [*verdict.known_hashes]
        for records in (replayed.rejected, replayed.filtered):
            await replaying.leave_out(connection, stamp, records, at)
            seen += records.ids
            hashes += replaying.live_hashes(records)
        loaded = Loaded().and_verdict(batch, replace(verdict, seen=seen, known_hashes=hashes), written)
        if (
            batch.tombstones
        ):  # by today's `deletes.tombstone`; left out as all others, so that a later replay finds them
            await replaying.leave_out(connection, stamp, replayed.tombstones, at)
            hashes = replaying.live_hashes(replayed.tombstones)
            loaded = loaded.and_buried(batch, Buried(len(hashes), 0, replayed.tombstones.ids, hashes))
        await self._settle_rejects(batch, replayed, at)
        return loaded

    async def _settle_rejects(self, batch: LaneBatch, replayed: ReplayedShare, at: datetime) -> None:
        """What was open of these payloads is so no more, unless they are rejected now. Of newer payloads it stays."""
        connection, source_id = self._connection, self._stamp.source_id
        if await rejects.has_open(connection, source_id):
            for records, resolution in (
                (replayed.accepted, "loaded"),
                (replayed.filtered, "filtered"),
                (replayed.tombstones, "tombstone"),
                (replayed.rejected, "other_reason"),
            ):
                await replaying.resolve(connection, source_id, records, at, resolution)
        if batch.reasons:
            await rejects.record(connection, batch.reasons, replayed.reject_ids, self._stamp, at)
