"""`kasparro chaos`: every fault at every point of a source's load, each followed by a comparison."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.run import SourcesArgument
from kasparro.core.errors import EXIT_DIFFERENCES, EXIT_OK, UsageError
from kasparro.core.limits import MOST_LANES

if TYPE_CHECKING:
    from kasparro.cli.chaos_trials import Attempt

BatchesOption = Annotated[
    int, typer.Option("--batches", metavar="N", min=0, max=1000, help="Faults at each of the first N batches.")
]
LanesOption = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=MOST_LANES, help="Lanes that write, each with faults.")
]
RandomOption = Annotated[int, typer.Option("--random", metavar="N", min=0, help="Also kill runs at N random moments.")]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Draw the same moments again.")]
PlanOption = Annotated[
    list[str] | None,
    typer.Option("--plan", metavar="PLAN", help="Only this, as POINT:KIND:N[@LANE], .. (may be repeated)."),
]
RecordsOption = Annotated[
    int | None,
    typer.Option(
        "--batch-records", metavar="N", min=1, max=100_000, help="Records a batch (default: some batches for each N)."
    ),
]


@command(example="kasparro chaos flights --batches 3 --random 20")
async def chaos(  # noqa: PLR0913, PLR0917  options arrive as arguments
    context: Context,
    sources: SourcesArgument = None,
    batches: BatchesOption = 2,
    concurrency: LanesOption = 2,
    random: RandomOption = 0,
    seed: SeedOption = None,
    plan: PlanOption = None,
    batch_records: RecordsOption = None,
) -> Result:
    """Break loads of a source in every way and at every point, load on, and compare with an undisturbed load.

    Works in a scratch database beside the one in use, which it makes and drops: that needs the right to create
    databases. Each fault costs two loads of the whole source, so give it one of moderate size. The source must hold
    still meanwhile: an API or feed is asked as often, and when undisturbed loads before and after are not the same,
    nothing can be said (exit 4). Exit 9 if anything was lost, doubled or miscounted. Refused in production.
    """
    from kasparro.cli.chaos_trials import Wanted, try_source
    from kasparro.cli.jobs import choose
    from kasparro.core.database import resolve
    from kasparro.ingestion.faults import parse_plans, refuse_in_production

    refuse_in_production(context.settings.environment)
    plans = [parse_plans(text, environment=context.settings.environment) for text in plan or ()]
    chosen = choose(context, sources or [])
    options = await resolve(context.settings, report=context.note)
    wanted = Wanted.of(batches, concurrency, random, seed=seed, plans=plans, batch_records=batch_records)
    attempts: list[Attempt] = []
    for config in chosen:
        attempts += await try_source(context, options, config.name, wanted)
    return _result(attempts, seed=wanted.seed)


def _result(attempts: "list[Attempt]", *, seed: int) -> Result:
    if not any(attempt.reached for attempt in attempts):
        raise UsageError(
            "chaos: no fault was reached, so nothing is proved",
            hint="the source has fewer batches, or lanes, than were asked for; see --batch-records and --concurrency",
        )
    failed = [attempt for attempt in attempts if attempt.differences]
    random = [attempt for attempt in attempts if attempt.moments]
    human: list[str | Table] = [_summary(attempts)]
    if random:
        moments, kills, between = (
            sum(len(attempt.moments) for attempt in random),
            sum(attempt.kills for attempt in random),
            sum(attempt.kills_between_commits for attempt in random),
        )
        human.append(f"{moments:,} random moments (seed {seed}): {kills:,} kills, {between:,} of them between commits")
    if failed:
        human += [_wrong(failed), *(attempt.command for attempt in failed)]
    else:
        human.append("nothing was lost, doubled or miscounted")
    data = {"data": [_as_data(attempt) for attempt in attempts], "seed": seed}
    return Result(data, human, EXIT_DIFFERENCES if failed else EXIT_OK)


def _summary(attempts: "list[Attempt]") -> Table:
    """One line for each source, point and kind."""
    columns = ("source", "point", "kind", "tried", "not reached", "runs", "differences")
    rows: dict[tuple[str, str, str], list[int]] = {}
    for attempt in attempts:
        row = rows.setdefault((attempt.source, attempt.point, attempt.kind), [0, 0, 0, 0])
        for place, count in enumerate((1, not attempt.struck, attempt.runs, bool(attempt.differences))):
            row[place] += count
    return Table(columns, [(*names, *counts) for names, counts in rows.items()], right=columns[3:])


def _wrong(failed: "list[Attempt]") -> Table:
    rows = [
        (attempt.source, attempt.name, each.what, str(each.expected), str(each.found))
        for attempt in failed
        for each in attempt.differences
    ]
    return Table(("source", "plan", "what", "undisturbed", "found"), rows)


def _as_data(attempt: "Attempt") -> dict[str, Any]:
    return {
        "source": attempt.source,
        "plan": attempt.name,
        "struck": attempt.struck,
        "reached": attempt.reached,
        "runs": attempt.runs,
        "kill_moments": [str(moment) for moment in attempt.moments] or None,
        "kills": attempt.kills if attempt.moments else None,
        "kills_between_commits": attempt.kills_between_commits if attempt.moments else None,
        "differences": [
            {"what": each.what, "undisturbed": each.expected, "found": each.found} for each in attempt.differences
        ],
        "reproduce": attempt.command if attempt.differences else None,
    }
