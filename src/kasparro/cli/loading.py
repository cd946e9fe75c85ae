"""Running configured sources with their progress shown: shared by `kasparro run` and `kasparro up`."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kasparro.cli.frame import Context
from kasparro.cli.output import Table, error_as_data
from kasparro.cli.progress import Step, step
from kasparro.cli.stopping import Stop, stop_on_signals
from kasparro.core.errors import (
    EXIT_CONFIGURATION,
    EXIT_CONFLICT,
    EXIT_DATABASE,
    EXIT_OK,
    EXIT_PAUSED,
    EXIT_REJECTS,
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_SOURCE,
    EXIT_SYSTEMIC,
    EXIT_UNEXPECTED,
    ContentionError,
    DatabaseError,
)

if TYPE_CHECKING:
    from kasparro.core.database import ConnectionOptions
    from kasparro.ingestion.faults import FaultPlan
    from kasparro.ingestion.job import SourceJob
    from kasparro.ingestion.outcomes import RunOutcome
    from kasparro.ingestion.run import Conditions, Request
    from kasparro.schemas.counters import Counters

_PRECEDENCE: Final = (
    EXIT_SIGINT, EXIT_SIGTERM, EXIT_DATABASE, EXIT_CONFIGURATION, EXIT_UNEXPECTED, EXIT_SYSTEMIC, EXIT_SOURCE,
    EXIT_CONFLICT, EXIT_PAUSED, EXIT_REJECTS,
)  # fmt: skip
"""Of several sources' exit codes, the first that occurs here is the command's."""
COUNTERS: Final = ("fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted")


async def run_jobs(
    context: Context, options: "ConnectionOptions", jobs: "Sequence[SourceJob]", request: "Request", inject: str | None
) -> "tuple[list[RunOutcome], int]":
    """Run the sources one after another; what happened to each, and the exit code without `--strict`.

    A database that cannot be used ends it: no other source would fare better.
    """
    outcomes: list[RunOutcome] = []
    with running(context, options, inject) as runner:
        for job in jobs:
            if runner.stop.event.is_set() or (outcomes and _is_without_database(outcomes[-1])):
                break
            outcomes.append(await runner.run(job, request))
    return outcomes, runner.exit_code(outcomes)


@contextmanager
def running(context: Context, options: "ConnectionOptions", inject: str | None = None) -> "Generator[Runner]":
    """What runs one source after another for a command; a signal ends the run in hand gently, and nothing else."""
    from kasparro.core.database import resolve
    from kasparro.ingestion.faults import parse_plans
    from kasparro.ingestion.run import Conditions
    from kasparro.ingestion.source import BatchLimits

    settings = context.settings
    plans = parse_plans(inject, environment=settings.environment) if inject else ()
    with stop_on_signals(settings.stop_grace_seconds) as stop:
        conditions = Conditions(
            options, revive=partial(resolve, settings, even_if_stopped=False), stop=stop.event, at_once=stop.at_once,
            limits=BatchLimits(records=settings.batch_records),
            stop_grace_seconds=settings.stop_grace_seconds, deadline_seconds=settings.run_deadline_seconds,
        )  # fmt: skip
        yield Runner(context, stop, conditions, plans)


@dataclass(frozen=True, slots=True)
class Runner:
    """Made by `running`. Whoever uses it looks at `stop` between runs."""

    context: Context
    stop: Stop
    conditions: "Conditions"
    plans: "Sequence[FaultPlan]"

    async def run(self, job: "SourceJob", request: "Request", *, label: str | None = None) -> "RunOutcome":
        """Run a source once, with its progress shown under `label`, or its name."""
        from kasparro.ingestion.faults import Faults

        faults = Faults(self.plans)
        own = replace(self.conditions, faults=faults)
        outcome = await _run_one(self.context, job, request, own, label or job.source.name)
        missed = [str(plan) for plan in self.plans if plan not in faults.struck]
        if missed:
            self.context.note(f"{outcome.source}: not reached, so nothing was done to it: {', '.join(missed)}")
        return outcome

    def exit_code(self, outcomes: "Sequence[RunOutcome]") -> int:
        """That of the whole command, without `--strict`."""
        codes = [EXIT_OK if outcome.error is None else outcome.error.exit_code for outcome in outcomes]
        return exit_code_of([self.stop.exit_code or EXIT_OK, *codes])


def _is_without_database(outcome: "RunOutcome") -> bool:
    return isinstance(outcome.error, DatabaseError) and not isinstance(outcome.error, ContentionError)


def exit_code_of(codes: Sequence[int]) -> int:
    """The one exit code of several sources."""
    return next((code for code in _PRECEDENCE if code in codes), max(codes, default=EXIT_OK))


def outcome_as_data(outcome: "RunOutcome") -> dict[str, Any]:
    """The outcome for `--json`."""
    from kasparro.cli.quality import quality_as_data
    from kasparro.cli.unusual import anomalies_as_data
    from kasparro.services.digest import as_text

    row = outcome.row or {}
    error = outcome.error
    return {
        "source": outcome.source,
        "state": outcome.state,
        "run_id": row.get("id"),
        "pass_id": row.get("pass_id"),
        "resumes_run_id": row.get("resumes_run_id"),
        "earlier_runs": [
            {"run_id": each["id"], "state": each["state"], "records": {name: each[name] for name in COUNTERS}}
            for each in outcome.earlier
        ],
        "started_at": row.get("started_at"),
        "finished_at": row.get("finished_at"),
        "batches": row.get("batches"),
        "records": {name: row[name] for name in COUNTERS} if row else None,
        "raw_written": row.get("raw_written"),
        "gone": row.get("gone"),
        "snapshot": row.get("snapshot"),
        "quality": quality_as_data(outcome.quality),
        "anomalies": anomalies_as_data(outcome.anomalies),
        "digest": as_text(int(row["digest"])) if row.get("digest") is not None else None,
        "error": None if error is None else error_as_data(error, source=outcome.source),
    }


def outcomes_table(outcomes: "Sequence[RunOutcome]") -> Table:
    """One line a run, for people: a source has several when it lost the database and began again from there."""
    columns = ("source", "run", "state", *COUNTERS)
    rows = [
        (outcome.source, row.get("id"), row.get("state", outcome.state), *(row.get(name) for name in COUNTERS))
        for outcome in outcomes
        for row in (outcome.rows or [{}])
    ]
    return Table(columns, rows, right=columns[3:])


async def _run_one(
    context: Context, job: "SourceJob", request: "Request", conditions: "Conditions", label: str
) -> "RunOutcome":
    from kasparro.cli.unusual import anomaly_lines
    from kasparro.ingestion.run import run_source

    with step(context.output, label) as shown:
        tally = _Tally(shown)
        outcome = await run_source(job, request, replace(conditions, began=tally.begin, committed=tally.add))
        if outcome.error is not None:
            shown.end_early(outcome.state)
    if outcome.error is not None:
        context.output.complain(outcome.error, source=None if _is_without_database(outcome) else outcome.source)
    for row in outcome.rows:
        if row["rejected"]:
            see = f"see `kasparro rejects list --run {row['id']}`"
            context.note(f"{outcome.source}: {row['rejected']:,} rejected, {see}")
    if outcome.row is not None and outcome.row["gone"]:
        context.note(f"{outcome.source}: {outcome.row['gone']:,} deleted, as a complete reading lacked them")
    for line in anomaly_lines(outcome.anomalies):
        context.note(f"{outcome.source}: {line}")
    return outcome


class _Tally:
    """Adds up what committed batches report, for the progress bar: the figures that the run's row will have.

    After a lost connection a source has another run, whose row counts from zero.
    """

    def __init__(self, shown: Step) -> None:
        self._shown = shown
        self._fetched = 0
        self._rejected = 0

    def begin(self, _source: str, _run_id: int) -> None:
        if self._fetched:
            self._fetched = self._rejected = 0
            self._show()

    def add(self, _source: str, counters: "Counters") -> None:
        self._fetched += counters.fetched
        self._rejected += counters.rejected
        self._show()

    def _show(self) -> None:
        self._shown.advance(self._fetched, detail=f"{self._rejected:,} rejected" if self._rejected else "")
