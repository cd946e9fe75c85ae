"""`kasparro backfill`: read a window of a source's past, chunk by chunk, beside its ordinary runs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.run import ConcurrencyOption, InjectOption, StrictOption
from kasparro.core.errors import EXIT_OK, EXIT_REJECTS, UsageError

if TYPE_CHECKING:
    from kasparro.cli.loading import Runner
    from kasparro.core.database import Connection, ConnectionOptions
    from kasparro.ingestion.coordinator import Request
    from kasparro.ingestion.job import SourceJob
    from kasparro.ingestion.moments import Window
    from kasparro.ingestion.outcomes import RunOutcome
    from kasparro.schemas.configuration import AnySourceConfig
    from kasparro.services.backfills import Backfill

PAUSE_SECONDS: Final = 0.25
"""Between chunks: longer than those who wait for the source's lock take between two tries."""
_FIRST_YEAR: Final = 1000
"""What is earlier has no sure form everywhere."""
FromOption = Annotated[
    str, typer.Option("--from", metavar="TIME", help="Where the window begins: ISO 8601, in UTC unless it says a zone.")
]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="Where it ends; not part of it.")]
ChunkOption = Annotated[
    str | None,
    typer.Option("--chunk", metavar="SPAN", help="How much of it is one run, such as 6h (default: see above)."),
]
NewOption = Annotated[bool, typer.Option("--new", help="Begin anew, and give up the same backfill that is not done.")]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk that was run."""

    window: "Window"
    outcome: "RunOutcome"


@command(example="kasparro backfill quakes --from 2026-01-01 --to 2026-02-01 --chunk 7d")
async def backfill(  # noqa: PLR0913, PLR0917  options arrive as arguments
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source's name.")],
    since: FromOption,
    until: ToOption,
    chunk: ChunkOption = None,
    new: NewOption = False,
    concurrency: ConcurrencyOption = None,
    strict: StrictOption = False,
    inject: InjectOption = None,
) -> Result:
    """Read a window of a source's past: of an API with `incremental`, or of a file by `occurred_at`.

    Each chunk is a run of its own; the next ordinary run goes on where the last one stopped. A record that is older
    than what stands changes nothing. Killed or stopped, the same command goes on with the chunk that was not done. A
    chunk is a day where the API can be told where a window ends (`until_param`), else the whole window.
    """
    from kasparro.cli.jobs import choose, open_jobs
    from kasparro.cli.loading import exit_code_of
    from kasparro.core.database import resolve
    from kasparro.ingestion.coordinator import Request
    from kasparro.ingestion.operations import backfill as operation

    (config,) = choose(context, [source])
    operation.require_past(config)
    window, span = parse_window(since, until, chunk)
    length = span or operation.chunk_of(config, window)
    request = Request(trigger="cli", lanes=concurrency or context.settings.lanes)
    async with open_jobs(context, [source]) as (job,):
        options = await resolve(context.settings, report=context.note)
        async with _connected(options) as connection:
            found, given_up = await operation.open_backfill(connection, job, window, length, anew=new)
        _announce(context, found, given_up)
        work = _Work(context, options, config, job, request)
        chunks, found, exit_code = await work.run(found, inject)
    rejects = any(each.outcome.rejected for each in chunks)
    code = exit_code_of([exit_code, EXIT_REJECTS if strict and rejects else EXIT_OK])
    return Result(_as_data(source, found, chunks), _shown(found, chunks), code)


@dataclass(frozen=True, slots=True)
class _Work:
    """What all chunks of one backfill share."""

    context: Context
    options: "ConnectionOptions"
    config: "AnySourceConfig"
    job: "SourceJob"
    request: "Request"

    async def run(self, backfill: "Backfill", inject: str | None) -> "tuple[list[_Chunk], Backfill, int]":
        """Run chunk after chunk until one fails, or a signal asks for the end; then how far the backfill is."""
        from kasparro.cli.loading import running
        from kasparro.ingestion.operations.backfill import next_chunk

        chunks: list[_Chunk] = []
        failed: list[RunOutcome] = []
        with running(self.context, self.options, inject) as runner:
            while not failed and (window := next_chunk(backfill)) is not None and not runner.stop.event.is_set():
                outcome = await self._run_chunk(runner, backfill, window)
                chunks.append(_Chunk(window, outcome))
                backfill, before = await self._now(backfill), backfill
                if outcome.error is not None and backfill.done_until == before.done_until:  # else another did it
                    failed.append(outcome)
                elif backfill.state == "open":
                    await _pause(runner.stop.event)
        return chunks, backfill, runner.exit_code(failed)

    async def _run_chunk(self, runner: "Runner", backfill: "Backfill", window: "Window") -> "RunOutcome":
        from kasparro.ingestion.operations.backfill import chunk_job

        job, chunk = chunk_job(self.job, self.config, backfill, window)
        label = f"{self.job.source.name} {_time(window.since)} to {_time(window.until)}"
        return await runner.run(job, replace(self.request, operation=chunk), label=label)

    async def _now(self, backfill: "Backfill") -> "Backfill":
        """As it stands in the database; as it was where that cannot be asked: what ended the chunk has been said."""
        from kasparro.core.errors import DatabaseError
        from kasparro.services import backfills

        with suppress(DatabaseError):
            async with _connected(self.options) as connection:
                return await backfills.find(connection, backfill.id)
        return backfill


@asynccontextmanager
async def _connected(options: "ConnectionOptions") -> "AsyncGenerator[Connection]":
    from kasparro.core.database import connect, house_errors
    from kasparro.services.migrations import require_current

    connection = await connect(options, application_name="kasparro:backfill")
    try:
        with house_errors():
            await require_current(connection)
            yield connection
    finally:
        await connection.close()


async def _pause(stop: asyncio.Event) -> None:
    """Leave the source's lock to whoever waits for it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PAUSE_SECONDS):
            await stop.wait()


def parse_window(since: str, until: str, chunk: str | None) -> "tuple[Window, timedelta | None]":
    """The window and the chunk, as they are written. Raises UsageError."""
    from kasparro.ingestion.moments import Window

    window = Window(_moment("--from", since), _moment("--to", until))
    if window.since.year < _FIRST_YEAR:
        raise UsageError(f"--from: {since} is before the year {_FIRST_YEAR}", hint="begin where there are records")
    if window.since >= window.until:
        raise UsageError(f"--to: {until} is not after --from, {since}")
    return window, None if chunk is None else _span(chunk)


def _moment(option: str, text: str) -> datetime:
    from kasparro.schemas.readings import Defective, time_reading

    try:
        moment: datetime | None = time_reading("UTC", frozenset())(text)
    except Defective as defective:
        raise UsageError(f"{option}: {defective.message}", hint="write it as 2026-01-31 or 2026-01-31T12:00Z") from None
    if moment is None or moment.microsecond:
        raise UsageError(f"{option}: {text} is not a whole second")
    return moment


def _span(text: str) -> timedelta:
    from kasparro.schemas.configuration.times import parse_duration

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--chunk: {error}") from None
    if not span or span.microseconds:
        raise UsageError(f"--chunk: {text} is not one or more whole seconds")
    return span


def _announce(context: Context, backfill: "Backfill", given_up: "Backfill | None") -> None:
    if given_up is not None:
        context.note(f"backfill {given_up.id}: given up, done until {_time(given_up.done_until)}")
    if backfill.done_until > backfill.since:
        context.note(f"backfill {backfill.id}: goes on from {_time(backfill.done_until)}, where it was left")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_data(source: str, backfill: "Backfill", chunks: Sequence[_Chunk]) -> dict[str, Any]:
    from kasparro.cli.loading import outcome_as_data

    return {
        "source": source,
        "backfill_id": backfill.id,
        "state": backfill.state,
        "from": backfill.since,
        "to": backfill.until,
        "chunk_seconds": backfill.chunk_seconds,
        "done_until": backfill.done_until,
        "chunks": [
            {"from": each.window.since, "to": each.window.until, **outcome_as_data(each.outcome)} for each in chunks
        ],
    }


def _shown(backfill: "Backfill", chunks: Sequence[_Chunk]) -> list[str | Table]:
    from kasparro.cli.loading import COUNTERS

    columns = ("from", "to", "run", "state", *COUNTERS)
    rows = [
        (
            _time(each.window.since), _time(each.window.until), row.get("id"), each.outcome.state,
            *(row.get(name) for name in COUNTERS),
        )
        for each in chunks
        for row in (each.outcome.row or {},)
    ]  # fmt: skip
    end = "done" if backfill.state == "done" else f"{backfill.state}, done until {_time(backfill.done_until)}"
    return [*([Table(columns, rows, right=columns[4:])] if rows else []), f"backfill {backfill.id}: {end}"]
