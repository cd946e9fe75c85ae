"""The steps that a load is measured by: each says how it is prepared, and what of it is timed."""

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from bench import floor
from bench.commands import capture
from bench.ground import Ground

from tests.recovery.facts import url_of

DLT_PYTHON: Final = Path(__file__).parents[1] / ".venv-dlt" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Said:
    """What a step says of itself: the run that it was, or how long it took by its own clock (None: ask ours)."""

    run_id: int | None = None
    seconds: float | None = None


class Step(ABC):
    """One line of the table."""

    name: ClassVar[str]
    title: ClassVar[str]
    once: ClassVar[bool] = False
    """Whether it takes so long that it is measured in the first round only."""
    afterwards: ClassVar[str] = "select"
    """SQL that leaves nothing behind that the server would go on with during the next step; not timed."""

    @abstractmethod
    async def prepare(self, ground: Ground) -> None:
        """Bring the ground to where the step begins; not timed, and followed by a checkpoint."""

    @abstractmethod
    async def work(self, ground: Ground) -> Said:
        """What is timed. Raises RuntimeError when it did not do all of its work."""


class Floor(Step):
    name = "floor"
    title = "(a) floor: binary COPY of the finished rows"
    afterwards = floor.EMPTY

    async def prepare(self, ground: Ground) -> None:
        await ground.finished_rows()

    async def work(self, ground: Ground) -> Said:
        exported = await ground.finished_rows()
        taken = await floor.load(ground.options, exported)
        if taken != exported.rows:
            raise RuntimeError(f"{taken} rows stored, {exported.rows} expected")
        return Said()


class FirstLoad(Step):
    name = "first"
    title = "(b) kasparro run: first load"

    async def prepare(self, ground: Ground) -> None:
        await ground.reset()

    async def work(self, ground: Ground) -> Said:
        outcome = await ground.run()
        ground.state = "loaded"
        return Said(run_id=outcome["run_id"])


class SecondPass(Step):
    name = "second"
    title = "(c) kasparro run --full-refresh: nothing changed"

    async def prepare(self, ground: Ground) -> None:
        await ground.have_loaded()

    async def work(self, ground: Ground) -> Said:
        outcome = await ground.run("--full-refresh")
        if outcome["records"]["inserted"] or outcome["records"]["updated"]:
            raise RuntimeError(f"an unchanged file changed something: {outcome['records']}")
        return Said(run_id=outcome["run_id"])


class ChangedPass(Step):
    name = "changed"
    title = "(d) kasparro run --full-refresh: 10 % of the rows changed"

    async def prepare(self, ground: Ground) -> None:
        await ground.have_loaded()
        ground.use(changed=True)

    async def work(self, ground: Ground) -> Said:
        outcome = await ground.run("--full-refresh")
        ground.state = "changed"
        touched = outcome["records"]["inserted"] + outcome["records"]["updated"]
        if not 0.9 <= touched / (ground.rows / 10) <= 1.1:
            raise RuntimeError(f"{touched} rows changed, about a tenth of {ground.rows} expected")
        return Said(run_id=outcome["run_id"])


class Bare(Step):
    name = "bare"
    title = "(g) COPY of the file into one bare typed table"
    afterwards = "drop table bare"

    async def prepare(self, ground: Ground) -> None:
        ground.use(changed=False)
        await ground.connection.execute("drop table if exists bare")
        await ground.connection.execute(f"create table bare ({ground.dataset.table})")

    async def work(self, ground: Ground) -> Said:
        status = await ground.connection.copy_to_table(
            "bare", source=ground.file, format="csv", header=True, null=ground.dataset.null
        )
        if status != f"COPY {ground.rows}":
            raise RuntimeError(f"{status}, {ground.rows} rows expected")
        return Said()


class Dlt(Step):
    """A pipeline of dlt, in its environment; it says itself how long it took, without Python's start and imports."""

    how: ClassVar[str]
    afterwards = "drop schema if exists bench_dlt, bench_dlt_staging cascade"

    async def prepare(self, ground: Ground) -> None:
        if not DLT_PYTHON.exists():
            raise RuntimeError(f"{DLT_PYTHON} is missing: `make bench` makes it")
        ground.use(changed=False)
        await ground.connection.execute(self.afterwards)  # what a measurement left that was ended

    async def work(self, ground: Ground) -> Said:
        script = Path(__file__).parent / "dlt_load.py"
        arguments = [str(script), self.how, str(ground.file), url_of(ground.options), ",".join(ground.dataset.key)]
        outcome = json.loads(await capture(str(DLT_PYTHON), *arguments, env=dict(os.environ), cwd=ground.folder))
        stored = await ground.connection.fetchval("select count(*) from bench_dlt.records")
        if stored != ground.rows:
            raise RuntimeError(f"dlt stored {stored} rows, {ground.rows} expected")
        return Said(seconds=outcome["seconds"])


class DltArrow(Dlt):
    name = "dlt-arrow"
    title = "(e) dlt, Arrow, merge (upsert)"
    how = "arrow"


class DltDictionaries(Dlt):
    name = "dlt-dicts"
    title = "(f) dlt, dictionaries, merge (upsert); one round"
    how = "dicts"
    once = True


STEPS: Final[dict[str, Step]] = {
    step.name: step
    for step in (Floor(), FirstLoad(), SecondPass(), ChangedPass(), Bare(), DltArrow(), DltDictionaries())
}
OURS: Final = ("floor", "first", "second", "changed", "bare")
