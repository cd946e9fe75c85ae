"""Asking for runs: a scheduler claims them. One transaction; of two callers at once, one comes second."""

from typing import Final

from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError, NoWorkerError, RunActiveError
from kasparro.services import reject_lists, run_queue, workers
from kasparro.services.reject_lists import RejectFilter
from kasparro.services.run_queue import Origin

TRIGGER: Final = "api"
REQUEUE: Final = "requeue"


async def queue_runs(
    connection: Connection, *, source: str | None, key: str | None, origin: Origin | None = None
) -> list[int]:
    """Queue a run of the source, or of every source (None), and return the ids in the order of the sources' ids.

    `key` names the request: repeated, it is answered with the runs that it queued before. `origin` says in their logs
    and traces whose wish they are. Where every source is asked
    for, one that has an active run is answered with that run, and the others are queued.
    Raises NotFoundError for an unknown source, NoWorkerError, RunActiveError when nothing could be queued.
    """
    async with connection.transaction():
        sources = await run_queue.lock_sources(connection, source)
        if not sources:
            raise _not_found(source)
        asked = await run_queue.asked_before(connection, list(sources), key) if key is not None else {}
        active = await run_queue.active(connection, [each for each in sources if each not in asked])
        runs = {**asked, **active}
        if not asked:
            await _require_worker(connection)
            for source_id in [each for each in sources if each not in active]:
                runs[source_id] = await run_queue.add(connection, source_id, TRIGGER, key=key, origin=origin)
            if len(active) == len(sources):
                raise _all_active({name: active[source_id] for source_id, name in sources.items()})
    return [runs[source_id] for source_id in sources if source_id in runs]


async def queue_requeue(
    connection: Connection, *, chosen: RejectFilter, key: str | None, origin: Origin | None = None
) -> list[int]:
    """Queue a requeue for each source that has open rejects of this choice; none where there are none.

    A source whose rejects are being requeued is answered with that run, as long as there is another one to queue. One
    that is being read is not in the way: its requeue comes next.
    Raises NotFoundError for an unknown source, NoWorkerError, RunActiveError when nothing could be queued.
    """
    async with connection.transaction():
        sources = await run_queue.lock_sources(connection, chosen.source)
        if not sources and chosen.source is not None:
            raise _not_found(chosen.source)
        named = None if key is None else f"{REQUEUE} {key}"
        if named is not None and (asked := await run_queue.asked_before(connection, list(sources), named)):
            return sorted(asked.values())
        waiting = await reject_lists.waiting(connection, chosen)
        wanted = {source_id: name for source_id, name in sources.items() if name in waiting}
        if not wanted:
            return []
        active = await run_queue.active(connection, list(wanted), REQUEUE)
        if len(active) == len(wanted):
            raise _all_active({name: active[source_id] for source_id, name in wanted.items()})
        await _require_worker(connection)
        runs = dict(active)
        for source_id in [each for each in wanted if each not in active]:
            plan = {REQUEUE: chosen.as_json()}
            runs[source_id] = await run_queue.add(
                connection, source_id, TRIGGER, key=named, operation=REQUEUE, plan=plan, origin=origin
            )
    return [runs[source_id] for source_id in wanted]


async def _require_worker(connection: Connection) -> None:
    if not await workers.alive(connection):
        raise NoWorkerError(
            f"no scheduler has asked for runs within the last {workers.ALIVE_SECONDS:.0f} s",
            hint="start one: `kasparro scheduler`, or `kasparro serve --with-scheduler`",
        )


def _not_found(source: str | None) -> NotFoundError:
    if source is None:
        return NotFoundError("the database knows no source yet", hint="a source is known once it was run")
    return NotFoundError(f"source {source}: the database knows none of this name", hint="see /sources")


def _all_active(runs: dict[str, int]) -> RunActiveError:
    told = ", ".join(f"{name} (run {run_id})" for name, run_id in runs.items())
    return RunActiveError(f"already queued or at work: {told}", hint="wait for it, see /runs")
