"""The trials of one source: undisturbed, with each fault, killed at random moments, and undisturbed again."""

import asyncio
import random
import secrets
import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

from kasparro.cli import chaos_runs
from kasparro.cli.chaos_child import Order
from kasparro.cli.chaos_runs import Ended
from kasparro.cli.frame import Context
from kasparro.cli.progress import step
from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.core.errors import SourceError
from kasparro.ingestion.faults import FaultPlan
from kasparro.ingestion.operations.chaos import Difference, Moment, differences, every_plan, moment
from kasparro.services import reckoning, scratch, sources
from kasparro.services.migrations import upgrade
from kasparro.services.reckoning import Pace, Reckoning
from kasparro.services.sources import SourceInfo

_MOST_RUNS: Final = 5
"""After a fault a pass is to be complete after so many undisturbed runs; one should do."""
_KILLS_IN_A_ROW: Final = 5
_PATIENCE_SECONDS: Final = 120.0
_PATIENCE_FACTOR: Final = 20.0
_BATCHES_FOR_EACH: Final = 4
"""Batches that a source is cut into for each one that gets faults, so that every lane comes to so many."""
_BATCHES_FOR_KILLS: Final = 40
"""And for random kills, so that there is a before and an after."""
_NAME: Final = "kasparro:chaos"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to try on each source. `batch_records` None: as many as give some batches to each that gets faults."""

    plans: tuple[tuple[FaultPlan, ...], ...]
    batches: int
    lanes: int
    kills: int
    seed: int
    batch_records: int | None

    @classmethod
    def of(
        cls,
        batches: int,
        lanes: int,
        kills: int,
        *,
        seed: int | None,
        plans: Sequence[tuple[FaultPlan, ...]],
        batch_records: int | None,
    ) -> Self:
        """These plans, or else every one."""
        every = tuple((plan,) for plan in every_plan(batches, lanes))
        drawn = secrets.randbelow(1_000_000) if seed is None else seed
        return cls(tuple(plans) or every, batches, lanes, kills, drawn, batch_records)

    def records_of(self, fetched: int, most: int) -> int:
        """How many records a batch of a source has that has so many in all."""
        wanted = max(_BATCHES_FOR_EACH * self.batches, _BATCHES_FOR_KILLS if self.kills else 1)
        return self.batch_records or max(1, min(most, -(-fetched // wanted)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pass that was disturbed by `plans`, or killed at `moments`.

    `kills` is how many of the moments came before the run had ended.
    """

    source: str
    plans: tuple[FaultPlan, ...] = ()
    moments: tuple[Moment, ...] = ()
    kills: int = 0
    kills_between_commits: int = 0
    struck: bool = True
    """Whether all of `plans` were carried out, or a kill."""
    reached: bool = True
    """Whether any was."""
    runs: int = 0
    differences: tuple[Difference, ...] = ()
    command: str = ""
    """What tries the same again."""

    @property
    def name(self) -> str:
        if self.plans:
            return ",".join(map(str, self.plans))
        return f"killed {', '.join(map(str, self.moments))}" if self.moments else "undisturbed"

    @property
    def point(self) -> str:
        return self.plans[0].point if self.plans else "random moment" if self.moments else "undisturbed"

    @property
    def kind(self) -> str:
        return self.plans[0].kind if self.plans else "kill" if self.moments else ""


async def try_source(context: Context, options: ConnectionOptions, source: str, wanted: Wanted) -> list[Attempt]:
    """All attempts on one source, in a scratch database of its own.

    Raises SourceError for a source that cannot be loaded, or whose undisturbed loads differ; DatabaseError.
    """
    async with _scratch(options) as (made, connection):
        trials = await _Trials.prepared(context, made, connection, source, wanted)
        attempts: list[Attempt] = []
        total = len(wanted.plans) + wanted.kills
        with step(context.output, f"{source}: chaos", total=total, unit="faults") as shown:
            async for attempt in trials.attempts():
                attempts.append(attempt)
                done = sum(max(1, len(each.moments)) for each in attempts)
                wrong = sum(bool(each.differences) for each in attempts)
                shown.advance(done, detail=f"{wrong:,} with differences" if wrong else "")
        return [*attempts, *await trials.settled()]


@asynccontextmanager
async def _scratch(options: ConnectionOptions) -> AsyncGenerator[tuple[ConnectionOptions, Connection]]:
    """A migrated database beside the one in use, and a connection to it; dropped at the end, whatever happened."""
    name = scratch.new_name()
    made = options.with_database(name)
    creating = asyncio.ensure_future(_create(options, name))
    try:
        await asyncio.shield(creating)  # a server that is told to make a database may do so after we have left
        await upgrade(made)
        async with _connected(made) as connection:
            yield made, connection
    finally:
        await asyncio.wait({creating})
        async with _connected(options) as administrator:
            await scratch.drop(administrator, name)
            await scratch.drop_abandoned(administrator)


async def _create(options: ConnectionOptions, name: str) -> None:
    async with _connected(options) as administrator:
        await scratch.create(administrator, name)


@asynccontextmanager
async def _connected(options: ConnectionOptions) -> AsyncGenerator[Connection]:
    connection = await connect(options, application_name=_NAME)
    try:
        yield connection
    finally:
        await connection.close()


class _Trials:
    """Runs of one source over an empty database, again and again. Made by `prepared`."""

    def __init__(self, connection: Connection, order: Order, wanted: Wanted) -> None:
        self._connection = connection
        self._order = order
        self._wanted = wanted
        self._random = random.Random(f"{wanted.seed} {order.source}")  # noqa: S311  not for secrets
        self._patience_seconds = _PATIENCE_SECONDS

    @classmethod
    async def prepared(
        cls, context: Context, options: ConnectionOptions, connection: Connection, source: str, wanted: Wanted
    ) -> Self:
        """Load twice undisturbed: to see how many records there are, and, in batches cut to that, to compare with."""
        order = Order(context.settings, options, source, wanted.lanes, ())
        trials = cls(connection, order, wanted)
        context.note(f"{source}: undisturbed ...")
        trials._first, _ = await trials._undisturbed()
        records = wanted.records_of(trials._first.fetched, context.settings.batch_records)
        trials._order = replace(order, settings=context.settings.model_copy(update={"batch_records": records}))
        trials._expected, ended = await trials._undisturbed()
        pace = await reckoning.pace(connection, (await trials._source()).id)
        if pace is None:
            raise SourceError(f"source {source}: it has no records, so there is nothing to disturb")
        trials._pace = pace
        trials._patience_seconds = max(_PATIENCE_SECONDS, ended.seconds * _PATIENCE_FACTOR)
        return trials

    _first: Reckoning
    _expected: Reckoning
    _pace: Pace

    async def attempts(self) -> AsyncGenerator[Attempt]:
        """Each plan, then the random kills."""
        for plans in self._wanted.plans:
            yield await self._disturbed(plans)
        left = self._wanted.kills
        while left:
            attempt = await self._killed(min(left, self._random.randint(1, _KILLS_IN_A_ROW)))
            left -= max(1, len(attempt.moments))
            yield attempt

    async def settled(self) -> list[Attempt]:
        """Load undisturbed once more. Of a file that is as it was, other records are a difference like any other.

        Raises SourceError where the upstream may have changed.
        """
        again, _ = await self._undisturbed()
        source_type = (await self._source()).type
        wrong = differences(self._first, self._expected, source_type) + differences(self._expected, again, source_type)
        if not wrong:
            return []
        if source_type == "csv" and self._first.settled == self._expected.settled == again.settled:
            return [Attempt(self._order.source, differences=tuple(wrong), command=self._command("--batches 0"))]
        facts = "; ".join(f"{each.what} {each.expected}, then {each.found}" for each in wrong)
        raise SourceError(
            f"source {self._order.source}: its upstream changed meanwhile, so nothing can be said: undisturbed loads "
            f"before and after are not the same ({facts})",
            hint="try a source that holds still: a file, or an upstream of your own",
        )

    async def _undisturbed(self) -> tuple[Reckoning, Ended]:
        await scratch.empty(self._connection)
        ended = await self._run(())
        found = await self._reckon()
        if found is None or not found.completed:
            raise SourceError(f"source {self._order.source}: an undisturbed load does not end well: {ended.reason}")
        return found, ended

    async def _disturbed(self, plans: tuple[FaultPlan, ...]) -> Attempt:
        await scratch.empty(self._connection)
        ended = await self._run(plans)
        struck = ended.killed if ended.report is None else set(plans) == set(ended.report.struck)
        reached = struck or (ended.report is not None and bool(ended.report.struck))
        runs, wrong = await self._completed(ended)
        command = self._command(f"--plan {','.join(map(str, plans))}")
        return Attempt(self._order.source, plans, (), 0, 0, struck, reached, runs, tuple(wrong), command)

    async def _killed(self, kills: int) -> Attempt:
        """Killed so often in a row, each time within its part of what is left to load."""
        await scratch.empty(self._connection)
        moments: list[Moment] = []
        done, between, ended = 0, 0, None
        while ended is None or (len(moments) < kills and not await self._is_complete()):
            share = (1 - await self._committed() / self._expected.fetched) / (kills - len(moments))
            moments.append(moment(self._pace, share, self._random.random()))
            ended = await self._run((), kill_at=moments[-1])
            done += ended.killed
            between += ended.killed and 0 < await self._committed() < self._expected.fetched
        runs, wrong = await self._completed(ended, runs=len(moments))
        command = self._command(f"--batches 0 --random {self._wanted.kills} --seed {self._wanted.seed}")
        return Attempt(
            self._order.source, (), tuple(moments), done, between, done > 0, done > 0, runs, tuple(wrong), command
        )

    async def _completed(self, ended: Ended, *, runs: int = 1) -> tuple[int, list[Difference]]:
        """Run undisturbed until a pass is complete, and compare; the number of runs, those before included."""
        least = runs
        while not await self._is_complete():
            if runs - least == _MOST_RUNS:
                return runs, [Difference("complete passes", 1, f"none: {ended.reason}")]
            ended = await self._run(())
            runs += 1
        found = await self._reckon()
        assert found is not None
        return runs, differences(self._expected, found, (await self._source()).type)

    async def _run(self, plans: tuple[FaultPlan, ...], kill_at: Moment | None = None) -> Ended:
        order = replace(self._order, plans=plans)
        return await chaos_runs.run(order, kill_at=kill_at, patience_seconds=self._patience_seconds)

    async def _source(self) -> SourceInfo:
        return await sources.get(self._connection, self._order.source)

    async def _reckon(self) -> Reckoning | None:
        """None where no run has come as far as to make the source's row."""
        source = await sources.find(self._connection, self._order.source)
        return None if source is None else await reckoning.reckon(self._connection, source.id)

    async def _committed(self) -> int:
        source = await sources.find(self._connection, self._order.source)
        return 0 if source is None else await reckoning.committed(self._connection, source.id)

    async def _is_complete(self) -> bool:
        found = await self._reckon()
        return found is not None and found.completed > 0

    def _command(self, options: str) -> str:
        records, lanes = self._order.settings.batch_records, self._wanted.lanes
        source = shlex.quote(self._order.source)
        return f"kasparro chaos {source} {options} --concurrency {lanes} --batch-records {records}"
