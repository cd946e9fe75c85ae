"""`kasparro rejects requeue`: stored payloads of open rejects through today's mapping."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.rejects import ChosenArgument, CodeOption, FieldOption, SourceOption, chosen_of
from kasparro.cli.run import InjectOption

if TYPE_CHECKING:
    from kasparro.ingestion.outcomes import RunOutcome
    from kasparro.services.reject_lists import RejectFilter

_COLUMNS: Final = ("source", "run_id", "state", "payloads", "landed", "superseded", "filtered", "still_rejected")


@command(example="kasparro rejects requeue --source flights --code invalid_decimal")
async def requeue_rejects(
    context: Context,
    rejects: ChosenArgument = None,
    source: SourceOption = None,
    code: CodeOption = None,
    field: FieldOption = None,
    inject: InjectOption = None,
) -> Result:
    """Put open rejects through today's mapping again: a run for each source, under its lock. Nothing is fetched.

    What passes lands; what a newer record has overtaken is resolved as superseded; what does not pass stays open.
    Killed, it goes on where it was when the same is asked for again.
    """
    from kasparro.cli.jobs import open_jobs
    from kasparro.cli.loading import outcome_as_data, run_jobs
    from kasparro.core.database import resolve
    from kasparro.ingestion.coordinator import Request
    from kasparro.ingestion.operations.requeue import requeue_job, requeue_request

    chosen = chosen_of(rejects or [], source=source, code=code, field=field)
    names = await _waiting(context, chosen)
    if not names:
        return Result([], ["nothing to requeue: no open reject is of this choice"])
    async with open_jobs(context, names) as jobs:
        options = await resolve(context.settings, report=context.note)
        own = [requeue_job(job, chosen, options) for job in jobs]
        request = requeue_request(chosen, Request(trigger="cli"))
        outcomes, exit_code = await run_jobs(context, options, own, request, inject or context.settings.inject)
    counted = [_counted(outcome) for outcome in outcomes]
    data = [{**outcome_as_data(outcome), **row} for outcome, row in zip(outcomes, counted, strict=True)]
    rows = [[row.get(name) for name in _COLUMNS] for row in data]
    return Result(data, [Table(_COLUMNS, rows, right=_COLUMNS[3:])], exit_code)


async def _waiting(context: Context, chosen: "RejectFilter") -> Sequence[str]:
    """The sources whose rejects are chosen; those not configured any more only where they are asked for by name."""
    from kasparro.schemas.configuration import load_configuration
    from kasparro.services import reject_lists, sources

    async with connected(context, "rejects") as connection:
        if chosen.source is not None:
            await sources.get(connection, chosen.source)
        waiting = await reject_lists.waiting(connection, chosen)
    if chosen.source is not None:
        return list(waiting)
    configured = {source.name for source in load_configuration(context.config_path, os.environ).sources}
    for name in sorted(waiting.keys() - configured):
        context.note(f"{name}: {waiting[name]:,} stay rejected, the source is not configured any more")
    return [name for name in waiting if name in configured]


def _counted(outcome: "RunOutcome") -> dict[str, Any]:
    """What became of the payloads that the run has judged."""
    row = outcome.row
    if row is None:
        return {}
    return {
        "payloads": row["fetched"],
        "landed": row["inserted"] + row["updated"] + row["duplicate"] + row["deleted"],
        "superseded": row["unchanged"],
        "filtered": row["filtered"],
        "still_rejected": row["rejected"],
    }
