"""What an API or feeds cost on top of a bare loop that downloads and parses them: both in turn, medians."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.commands import capture, run_once
from bench.ground import RESET
from bench.measuring import Part, Series, Stopwatch, machine, progress, report
from bench.server import on_a_server
from bench.upstream import Kind, upstream

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services import batches
from kasparro.services.migrations import upgrade

_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Reading:
    """What is read: so many documents with so many entries each."""

    kind: Kind
    documents: int
    entries: int
    configuration: str
    """kasparro.yaml, but for the URL that stands in it as `{url}`."""

    @property
    def count(self) -> int:
        return self.documents * self.entries


@dataclass(frozen=True)
class Found:
    """The bare loop, `kasparro run` as a process into empty tables, and that run by its own clock."""

    bare: Series
    whole: Series
    itself: Series

    def as_data(self) -> dict[str, Any]:
        """Everything, for the file."""
        return {"steps": [one.as_data() for one in (self.bare, self.whole, self.itself)]}


async def read(options: ConnectionOptions, reading: Reading, rounds: int) -> Found:
    """Both in turn; after each, what was stored is counted."""
    await upgrade(options)
    connection = await connect(options, application_name="kasparro:bench")
    found = Found(*(Series(name, reading.count) for name in ("bare loop", "kasparro run", "the run itself")))
    try:
        with tempfile.TemporaryDirectory(prefix="ksp-bench-") as name:
            async with upstream(reading.kind, reading.documents, reading.entries) as url:
                text = reading.configuration.replace("{url}", url)
                (Path(name) / "kasparro.yaml").write_text(text, encoding="utf-8")
                for number in range(1, rounds + 1):
                    await _round(options, connection, reading, Path(name), url, found)
                    progress(
                        f"{reading.kind} {number}/{rounds}  bare {found.bare.samples[-1].seconds:.2f} s, "
                        f"kasparro run {found.whole.samples[-1].seconds:.2f} s"
                    )
    finally:
        await connection.close()
    return found


async def _round(
    options: ConnectionOptions, connection: Connection, reading: Reading, folder: Path, url: str, found: Found
) -> None:
    stopwatch = await Stopwatch.beside(connection)
    await connection.execute(RESET)
    await connection.execute("checkpoint")
    sample, seconds = await stopwatch.time(_bare(reading, url))
    found.bare.samples.append(replace(sample, seconds=seconds))
    sample, outcome = await stopwatch.time(run_once(options, folder))
    _, stages = await batches.effort(connection, outcome["run_id"])
    found.whole.samples.append(replace(sample, stages=stages))
    times = [datetime.fromisoformat(outcome[name]) for name in ("started_at", "finished_at")]
    found.itself.samples.append(replace(sample, seconds=(times[1] - times[0]).total_seconds()))
    stored = await connection.fetchval("select count(*) from unified_data")
    if stored != reading.count:
        raise RuntimeError(f"{stored} records stored, {reading.count} expected")


async def _bare(reading: Reading, url: str) -> float:
    command = (sys.executable, "-m", "bench.bare_reading", reading.kind, url, str(reading.documents))
    said = json.loads(await capture(*command, env=dict(os.environ), cwd=_ROOT))
    if said["found"] != reading.count:
        raise RuntimeError(f"the bare loop found {said['found']}, {reading.count} expected")
    return said["seconds"]


Measuring = Callable[[ConnectionOptions, int, int], Awaitable[Part]]
"""On a server, so many rounds, over so many documents."""


def run_command(description: str | None, measuring: Measuring, documents: int) -> None:
    """The command line of both: measure as it says, and report."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=documents, help="pages, or feeds")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()

    async def run(options: ConnectionOptions) -> tuple[dict[str, Any], list[Part]]:
        return await machine(options), [await measuring(options, arguments.rounds, arguments.documents)]

    report(*asyncio.run(on_a_server(run)), arguments.json)
