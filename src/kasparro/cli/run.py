"""`kasparro run`: one pass over the sources, then exit."""

from typing import Annotated

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result
from kasparro.core.errors import EXIT_OK, EXIT_REJECTS, UsageError
from kasparro.core.limits import MOST_LANES

SourcesArgument = Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="Sources (default: all).")]
FullRefreshOption = Annotated[
    bool, typer.Option("--full-refresh", help="Read again from the start; deletes nothing, leaves raw payloads alone.")
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("--concurrency", metavar="N", min=1, max=MOST_LANES, help="Lanes that write (default: processors)."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with 6 when records were rejected.")]
ConfirmOption = Annotated[
    bool, typer.Option("--confirm", help="Delete what a complete reading lacks, however much (deletes.max_share).")
]
InjectOption = Annotated[
    str | None,
    typer.Option("--inject", metavar="PLAN", help="Fail on purpose, for tests: POINT:KIND:N[@LANE], .."),
]


@command(example="kasparro run flights --json")
async def run(  # noqa: PLR0913, PLR0917  options arrive as arguments
    context: Context,
    sources: SourcesArgument = None,
    full_refresh: FullRefreshOption = False,
    concurrency: ConcurrencyOption = None,
    strict: StrictOption = False,
    confirm: ConfirmOption = False,
    inject: InjectOption = None,
) -> Result:
    """Load what is new from each source, once. A run that died before is resumed where its last batch committed.

    While another run holds a source, this one waits up to 10 s for it, then leaves the source to it and exits with 8.
    """
    from kasparro.cli.jobs import open_jobs
    from kasparro.cli.loading import exit_code_of, outcome_as_data, outcomes_table, run_jobs
    from kasparro.core.database import resolve
    from kasparro.ingestion.coordinator import Request

    if confirm and not sources:
        raise UsageError("--confirm needs the names of the sources that it is meant for")
    lanes = concurrency or context.settings.lanes
    request = Request(trigger="cli", lanes=lanes, full_refresh=full_refresh, confirm=confirm)
    async with open_jobs(context, sources or []) as jobs:
        options = await resolve(context.settings, report=context.note)
        outcomes, exit_code = await run_jobs(context, options, jobs, request, inject or context.settings.inject)
    rejects = any(outcome.rejected for outcome in outcomes)
    code = exit_code_of([exit_code, EXIT_REJECTS if strict and rejects else EXIT_OK])
    return Result([outcome_as_data(outcome) for outcome in outcomes], [outcomes_table(outcomes)], code)
