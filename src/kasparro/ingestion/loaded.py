"""What became of a lane batch in its tables, added up over the parts that it was written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kasparro.core.canonical import DIGEST_MODULUS, digest_sum, digest_term
from kasparro.schemas.batches import LaneBatch
from kasparro.services.deletions import Buried
from kasparro.services.verdict import Tally, Verdict


@dataclass(frozen=True, slots=True)
class Loaded:
    """`digest_delta` is modulo 2**128; `seen` are the unified ids that the batch named; `reject_ids` are raw ids of
    the rejected payloads that it stored, by content hash."""

    tally: Tally = field(default_factory=Tally)
    deleted: int = 0
    raw_written: int = 0
    digest_delta: int = 0
    seen: Sequence[int] = ()
    reject_ids: Mapping[bytes, int] = field(default_factory=dict[bytes, int])

    def and_verdict(self, batch: LaneBatch, verdict: Verdict, raw_written: int) -> "Loaded":
        """With what was written by a verdict on (a part of) the batch."""
        return Loaded(
            self.tally + verdict.tally,
            self.deleted,
            self.raw_written + raw_written,
            (self.digest_delta + _digest_delta(batch, verdict)) % DIGEST_MODULUS,
            [*self.seen, *verdict.seen, *verdict.new.ids],
            {**self.reject_ids, **_reject_ids(batch, verdict)},
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
