"""What today's mapping would make of stored rejects: judged in memory, nothing is written."""

from collections.abc import Sequence
from typing import Any, Final, cast

from kasparro.core.database import Connection
from kasparro.ingestion.drift.watch import Watch, Watched, WatchedTransformer
from kasparro.ingestion.job import Transforms
from kasparro.ingestion.operations.requeue import record_of
from kasparro.ingestion.source import READER_CODES, BatchLimits
from kasparro.services import drift, requeue_pages, sources
from kasparro.services.reject_lists import RejectFilter
from kasparro.services.requeue_pages import Waiting, Wanted

_LIMITS: Final = BatchLimits(records=5_000)


async def would_pass(
    connection: Connection,
    source: str,
    chosen: RejectFilter,
    transformer: Transforms,
    mapping_hash: str,
    *,
    watched: Watched | None = None,
) -> dict[str, int]:
    """How many payloads would load now, by the fingerprint of their group, in pages: memory holds one of them.

    Only groups of chosen open rejects that another mapping than this one has made are named. As in a requeue, what
    `watched` holds back does not pass.
    """
    found = await sources.get(connection, source)
    if watched is not None and watched.policies.watch:
        standing, held_back = await drift.standing(connection, found.id), await drift.held_back(connection, found.id)
        transformer = WatchedTransformer(transformer, Watch(source, watched, standing, held_back=held_back))
    wanted = Wanted(found.id, found.type, chosen, sorted(READER_CODES), mapping_hash)
    place = await requeue_pages.beginning(connection, found.id)
    passing: dict[str, int] = {}
    async for page in requeue_pages.read_pages(
        connection, wanted, place, records=_LIMITS.records, size_bytes=_LIMITS.size_bytes
    ):
        good = _passing(transformer, page.payloads)
        for ordinal, waiting in enumerate(page.payloads, 1):
            for group in waiting.groups:
                passing[group] = passing.get(group, 0) + (ordinal in good)
    return passing


def _passing(transformer: Transforms, payloads: Sequence[Waiting]) -> set[int]:
    """Ordinals, from 1, of those that would load."""
    batch = transformer.transform(list(map(record_of, payloads)), 1)
    good = {record.ordinal for record in batch.accepted}
    for rows in batch.columns:
        good.update(cast("list[Any]", rows.column("ordinal").to_pylist()))  # pyright: ignore[reportUnknownMemberType]
    return good
