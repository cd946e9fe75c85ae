"""One lane's writer in a backfill: what is older than what stands loses, and settles no newer reject.

Older by the field that the backfill goes by, in the payload as it comes and in the one that the record, or the reject,
points at; among records by their versions where the source has such. Where either record has no such time it cannot be
told, and what stands stays. Ordinary runs know no such guard: there an upstream may correct a record without moving its
time.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from kasparro.core.database import Connection
from kasparro.ingestion.loaded import Loaded
from kasparro.ingestion.moments import MomentOf
from kasparro.ingestion.store import PostgresLaneStore
from kasparro.schemas.batches import LaneBatch, RunStamp, Tombstone
from kasparro.services import backfills, classification, deletions, loading, rejects, versions
from kasparro.services.versions import Standing


@dataclass(frozen=True, slots=True)
class _State:
    """What a key's record is when the next of its records comes."""

    content_hash: bytes
    moment: Fraction | None


class BackfillLaneStore(PostgresLaneStore):
    """Writes as any other, but for records that are older than what stands, if not their versions tell which are."""

    def __init__(self, connection: Connection, stamp: RunStamp, moment_of: MomentOf, *, by_version: bool) -> None:
        super().__init__(connection, stamp, first=False)
        self._moment_of = moment_of
        self._by_version = by_version

    async def _load_part(self, part: LaneBatch, loaded: Loaded, at: datetime) -> Loaded:
        if self._by_version:
            return await super()._load_part(part, loaded, at)
        connection, stamp = self._connection, self._stamp
        keys = [*part.accepted_keys(), *(tombstone.record_key for tombstone in part.tombstones)]
        standing = await versions.standing(connection, stamp, keys)
        lost, late = await asyncio.to_thread(self._losers, part, standing)
        if part.rows.num_rows:
            ids = {key: each.unified_id for key, each in standing.items()}
            contest = versions.without(part, part.accepted_keys(), lost, ids)
            verdict = contest.verdict(await classification.judge(connection, contest.left, stamp))
            raw_written = await loading.write(connection, part, verdict, stamp, at)
            loaded = loaded.and_verdict(part, verdict, raw_written)
        if part.tombstones:
            buried = await deletions.bury(connection, stamp, late, part.fetched_at, at)
            seen = [standing[key].unified_id for key in keys if key in standing]
            loaded = loaded.and_buried(part, replace(buried, seen=seen))
        return loaded

    async def _resolve(self, batch: LaneBatch, keys: list[str], at: datetime) -> None:
        """Resolve open rejects that are not newer than what has come for their key."""
        wanted = set(keys)
        if not await rejects.has_open(self._connection, self._stamp.source_id):
            return
        loaded = [pair for pair in zip(batch.accepted_keys(), _payloads(batch), strict=False) if pair[0] in wanted]
        buried = [(tombstone.record_key, tombstone.payload_json) for tombstone in batch.tombstones]
        for pairs, resolution in ((loaded, "loaded"), (buried, "tombstone")):
            found = await backfills.open_rejects(self._connection, self._stamp, [key for key, _ in pairs])
            latest = await asyncio.to_thread(self._latest, pairs)
            ids = [each.id for each in found if not self._is_newer(each.payload, latest[each.record_key])]
            await backfills.resolve_rejects(self._connection, ids, at, resolution)

    def _latest(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Fraction | None]:
        """The latest moment of each key's payloads; None where none has one. CPU work."""
        latest: dict[str, Fraction | None] = {}
        for key, payload in pairs:
            moment, before = self._moment(payload), latest.get(key)
            latest[key] = before if moment is None else moment if before is None else max(before, moment)
        return latest

    def _is_newer(self, payload: str | None, latest: Fraction | None) -> bool:
        moment = self._moment(payload)
        return moment is not None and latest is not None and moment > latest

    def _losers(self, part: LaneBatch, standing: Mapping[str, Standing]) -> tuple[list[int], list[Tombstone]]:
        """Positions of records that lose, and the tombstones that do not. CPU work."""
        states = {key: _State(each.content_hash, self._moment(each.payload)) for key, each in standing.items()}
        lost = self._lost(part, states)
        late = [
            tombstone
            for tombstone in part.tombstones
            if not _loses(self._moment(tombstone.payload_json), states.get(tombstone.record_key))
        ]
        return lost, late

    def _lost(self, part: LaneBatch, states: dict[str, _State]) -> list[int]:
        lost: list[int] = []
        hashes, payloads = part.content_hashes(), _payloads(part)
        for position, key in enumerate(part.accepted_keys()):
            state = states.get(key)
            if state is not None and state.content_hash == hashes[position]:
                continue  # the same payload: nothing that could be older
            moment = self._moment(payloads[position])
            if _loses(moment, state):
                lost.append(position)
            else:
                states[key] = _State(hashes[position], moment)
        return lost

    def _moment(self, payload: str | None) -> Fraction | None:
        return None if payload is None else self._moment_of(json.loads(payload, parse_float=Decimal))


def _loses(moment: Fraction | None, state: _State | None) -> bool:
    return state is not None and (moment is None or state.moment is None or moment < state.moment)


def _payloads(batch: LaneBatch) -> list[str]:
    return cast("Any", batch.rows.column("payload")).to_pylist()
