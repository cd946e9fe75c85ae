"""What became of a lane batch in its tables, added up over the parts that it was written in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kasparro.core.canonical import DIGEST_MODULUS, digest_sum, digest_term
from kasparro.schemas.batches import LaneBatch, RejectReason
from kasparro.services.deletions import Buried
from kasparro.services.verdict import Tally, Verdict


@dataclass(frozen=True, slots=True)
class Loaded:
    """`digest_delta` is modulo 2**128; `seen` are the unified ids that the batch named; `reject_ids` are raw ids of
    the rejected payloads that it stored, by content hash; `lost` are ordinals of records older than what stands."""

    tally: Tally = field(default_factory=Tally)
    deleted: int = 0
    raw_written: int = 0
    digest_delta: int = 0
    seen: Sequence[int] = ()
    reject_ids: Mapping[bytes, int] = field(default_factory=dict[bytes, int])
    lost: frozenset[int] = frozenset()

    def and_verdict(self, batch: LaneBatch, verdict: Verdict, raw_written: int) -> "Loaded":
        """With what was written by a verdict on (a part of) the batch."""
        return Loaded(
            self.tally + verdict.tally,
            self.deleted,
            self.raw_written + raw_written,
            (self.digest_delta + _digest_delta(batch, verdict)) % DIGEST_MODULUS,
            [*self.seen, *verdict.seen, *verdict.new.ids],
            {**self.reject_ids, **_reject_ids(batch, verdict)},
            self.lost | _ordinals(batch, verdict.lost),
        )

    def and_buried(self, batch: LaneBatch, buried: Buried) -> "Loaded":
        """With what became of the tombstones of (a part of) the batch."""
        return replace(
            self,
            tally=self.tally + Tally(unchanged=len(batch.tombstones) - buried.deleted),
            deleted=self.deleted + buried.deleted,
            raw_written=self.raw_written + buried.raw_written,
            digest_delta=(self.digest_delta - sum(map(digest_term, buried.known_hashes))) % DIGEST_MODULUS,
            seen=[*self.seen, *buried.seen],
        )


def settled(batch: LaneBatch, lost: Collection[int]) -> tuple[list[str], Sequence[RejectReason]]:
    """The keys whose open rejects are settled by accepted records, and the reasons with whether they are, too.

    A record that is older than what stands settles nothing: what was rejected may be newer than either.
    """
    keys = batch.accepted_keys()
    if not lost:
        return keys, batch.reasons
    last = {key: ordinal for key, ordinal in zip(keys, batch.ordinals(), strict=False) if ordinal not in lost}
    found = list(last)
    for tombstone in batch.tombstones:
        last[tombstone.record_key] = max(tombstone.ordinal, last.get(tombstone.record_key, 0))
    return found, [
        replace(reason, loads_later=last.get(reason.record_key or "", 0) > reason.last_ordinal)
        for reason in batch.reasons
    ]


def _ordinals(batch: LaneBatch, positions: Sequence[int]) -> frozenset[int]:
    ordinals = batch.ordinals() if positions else []
    return frozenset(ordinals[position] for position in positions)


def _digest_delta(batch: LaneBatch, verdict: Verdict) -> int:
    """What the written keys add to the source's digest: new hashes minus old."""
    new = digest_sum(batch.record_hashes(verdict.new.positions)) + digest_sum(
        batch.record_hashes(verdict.changed.positions)
    )
    return new - sum(map(digest_term, verdict.known_hashes))


def _reject_ids(batch: LaneBatch, verdict: Verdict) -> dict[bytes, int]:
    accepted = batch.accepted
    if accepted == batch.rows.num_rows:
        return {}
    hashes = batch.content_hashes()
    written = zip(verdict.raw.positions or (), verdict.raw.ids, strict=True)
    return {hashes[position]: raw_id for position, raw_id in written if position >= accepted}
