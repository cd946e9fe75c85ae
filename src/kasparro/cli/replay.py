"""`kasparro replay plan|apply`: what today's mapping would make of stored payloads, and doing it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.progress import step
from kasparro.cli.run import ConcurrencyOption, InjectOption
from kasparro.cli.secrets import know_secrets
from kasparro.core.errors import EXIT_DIFFERENCES, EXIT_OK, UsageError

if TYPE_CHECKING:
    from kasparro.services.replay_plans import ReplayPlan

_MEANINGS: Final = {
    "added": "left out by an earlier replay, pass again",
    "changed": "become other records",
    "unchanged": "stay as they are",
    "removed": "are filtered now: left out",
    "rejected": "are rejected now: left out",
    "deleted": "are tombstones now: deleted",
    "still_left_out": "left out by an earlier replay, and still are",
    "other_key": "have another key now: not touched",
}
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only payloads fetched from then on (ISO 8601, UTC).")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only payloads fetched before.")]
RunOption = Annotated[int | None, typer.Option("--run", metavar="RUN", help="Only payloads that this run fetched.")]


@command(example="kasparro replay plan flights --since 2026-11-01")
async def plan_replay(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source's name.")],
    since: SinceOption = None,
    until: UntilOption = None,
    run: RunOption = None,
) -> Result:
    """Show what today's mapping would make of a source's stored payloads, and keep that as a plan. Changes no record.

    Judged are the payloads of current records. Rejected ones come back by `kasparro rejects requeue`. Exit 9 when there
    are differences.
    """
    from kasparro.cli.jobs import open_jobs
    from kasparro.ingestion.operations.replay import Chosen, plan

    chosen = Chosen(_moment("--since", since), _moment("--until", until), run)
    if chosen.since is not None and chosen.until is not None and chosen.since >= chosen.until:
        raise UsageError(f"--until: {until} is not after --since, {since}")
    know_secrets(context)
    async with open_jobs(context, [source]) as (job,), connected(context, "replay") as connection:
        with step(context.output, source) as shown:
            planned = await plan(connection, job, chosen, advanced=shown.advance)
    differs = bool(planned.findings["differs"])
    return Result(_as_data(planned), _shown(planned), EXIT_DIFFERENCES if differs else EXIT_OK)


@command(example="kasparro replay apply 7")
async def apply_replay(
    context: Context,
    plan: Annotated[int, typer.Argument(metavar="PLAN", help="A plan's number.")],
    concurrency: ConcurrencyOption = None,
    inject: InjectOption = None,
) -> Result:
    """Do what a plan says, batch by batch; after an interruption, the same command goes on.

    Refused (exit 9) when the records, the mapping or the configuration have changed since the plan.
    """
    from kasparro.cli.jobs import open_jobs
    from kasparro.cli.loading import outcome_as_data, outcomes_table, run_jobs
    from kasparro.core.database import resolve
    from kasparro.ingestion.coordinator import Request
    from kasparro.ingestion.operations.replay import Replay, replay_job
    from kasparro.services import replay_plans

    async with connected(context, "replay") as connection:
        planned = await replay_plans.find(connection, plan)
    options = await resolve(context.settings, report=context.note)
    async with open_jobs(context, [planned.source]) as (job,):
        operation = Replay(planned, job.config_hash)
        request = Request(trigger="cli", lanes=concurrency or context.settings.lanes, operation=operation)
        jobs = [replay_job(job, options, planned)]
        outcomes, code = await run_jobs(context, options, jobs, request, inject or context.settings.inject)
    data = {"plan": plan, "data": [outcome_as_data(outcome) for outcome in outcomes]}
    return Result(data, [outcomes_table(outcomes)], code)


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'{option}: "{text}" is no time', hint="such as 2026-11-01 or 2026-11-01T12:30Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_data(planned: "ReplayPlan") -> dict[str, Any]:
    return {
        "plan": planned.id,
        "source": planned.source,
        "mapping_version": planned.mapping_version,
        "since": planned.since,
        "until": planned.until,
        "run_id": planned.run_id,
        **planned.findings,
    }


def _shown(planned: "ReplayPlan") -> list[str | Table]:
    found = planned.findings
    counts = [(name.replace("_", " "), found["counts"][name], meaning) for name, meaning in _MEANINGS.items()]
    always = ("added", "changed", "unchanged", "removed", "rejected")
    rows = [row for row in counts if row[1] or row[0] in always]
    title = f"{planned.source}: plan {planned.id}, by mapping version {planned.mapping_version}"
    human: list[str | Table] = [title, "", Table(("records", "count", "which"), rows, right=("count",))]
    if found["missing"]:
        human.append(f"{found['missing']:,} records have no payload any more (retention): they stay as they are")
    human += [*_fields_shown(found), *_samples_shown(found), *_rejects_shown(found), "", _what_next(planned)]
    return human


def _fields_shown(found: dict[str, Any]) -> list[str | Table]:
    if not found["fields"]:
        return []
    columns = ("field", "records", "key", "before", "after", "from")
    rows = [
        (each["field"] if first else "", each["records"] if first else None, *_of(sample, "key", "before", "after"),
         sample["locator"])
        for each in found["fields"]
        for first, sample in zip((True, False, False), each["samples"], strict=False)
    ]  # fmt: skip
    return ["", Table(columns, rows, title="fields that change", right=("records",))]


def _samples_shown(found: dict[str, Any]) -> list[str | Table]:
    rows = [
        (name.replace("_", " "), *_of(sample, "key", "locator"))
        for name in ("added", "removed", "deleted", "other_key")
        for sample in found["samples"][name]
    ]
    return ["", Table(("which", "key", "from"), rows, title="such as")] if rows else []


def _rejects_shown(found: dict[str, Any]) -> list[str | Table]:
    if not found["rejects"]:
        return []
    columns = ("code", "field", "records", "key", "from", "message")
    rows = [
        (each["code"], each["field"], each["records"], *_of(each["samples"][0], "key", "locator", "message"))
        for each in found["rejects"]
    ]
    return ["", Table(columns, rows, title="rejected now", right=("records",))]


def _of(sample: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(sample[name] for name in names)


def _what_next(planned: "ReplayPlan") -> str:
    found = planned.findings
    if found["differs"]:
        return f"to do it: kasparro replay apply {planned.id}"
    if found["restamped"]:
        version = planned.mapping_version
        return f"no difference; kasparro replay apply {planned.id} would stamp them with mapping version {version}"
    return "no difference"
