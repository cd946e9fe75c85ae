"""What it costs to see everything: CPU seconds of first loads without and with, and with traces, in turns.

    python -m bench.observability [--pairs 20] [--rows N] [--data flights]

Each load is a process, into empty tables; whose turn is first changes. CPU seconds are those of the command and of the
server. `without` has the functions replaced that observe (bench/observed_load.py): metric counters, sums of stages,
anomalies, alerts, quality's and anomalies' reports, log lines and their context, spans; and LOG_LEVEL=ERROR. What
stays in both: seconds and bytes on each batch's row, triggers that count open rejects (flights have none), drift's
watch (bench/watch.py measures it), and what Python imports. `with` is as shipped: INFO, in JSON. `traced` sends its
spans to a collector of its own, whose own time does not count. Mean differences with their 95 % confidence intervals
(Student's).
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.commands import capture, user_environment
from bench.datasets import DATASETS
from bench.ground import RESET
from bench.measuring import Part, Stopwatch, machine, progress, report, table
from bench.server import on_a_server
from bench.watch import interval

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services.migrations import upgrade
from tests.recovery.facts import url_of

MODES: Final = ("without", "with", "traced")
ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Found:
    """CPU seconds of each load, by mode, in the order in which they were measured."""

    rows: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})

    def share(self, mode: str) -> tuple[float, float]:
        """How much more CPU time than without, as a share, and half of the interval."""
        base = statistics.mean(self.seconds["without"])
        more = [one - less for one, less in zip(self.seconds[mode], self.seconds["without"], strict=True)]
        return statistics.mean(more) / base, interval(more) / base

    def part(self) -> Part:
        """For the report."""
        rows: list[tuple[str, ...]] = []
        figures: dict[str, float] = {}
        for mode in MODES:
            mean = statistics.mean(self.seconds[mode])
            if mode == "without":
                rows.append((mode, f"{mean:.3f}", "", ""))
                continue
            share, half = self.share(mode)
            rows.append((mode, f"{mean:.3f}", f"{share:+.2%}", f"{share - half:+.2%} .. {share + half:+.2%}"))
            figures[f"observability: per cent, {mode}"] = share * 100
        pairs = len(self.seconds["without"])
        title = f"first load of {self.rows:,} rows, {pairs} pairs"
        text = f"{title}\n\n{table(('observed', 'CPU s', 'more', '95 % interval'), rows)}"
        return Part("observability", text, {"rows": self.rows, "cpu_seconds": self.seconds}, figures)


async def measure(options: ConnectionOptions, name: str, pairs: int, rows: int | None) -> tuple[dict[str, Any], Part]:
    """The machine, and what so many rounds of all modes say."""
    await upgrade(options)
    dataset = DATASETS[name]
    found = Found(dataset.at_most(rows))
    connection = await connect(options, application_name="kasparro:bench")
    try:
        with tempfile.TemporaryDirectory(prefix="ksp-bench-") as folder:
            dataset.write(Path(folder), found.rows)
            async with _collector() as endpoint:
                for number in range(pairs):
                    for mode in (*MODES[number % 3 :], *MODES[: number % 3]):
                        found.seconds[mode].append(await _load(options, connection, Path(folder), mode, endpoint))
                    progress(f"{number + 1}/{pairs}: " + ", ".join(f"{found.seconds[each][-1]:.3f}" for each in MODES))
        return await machine(options), found.part()
    finally:
        await connection.close()


async def _load(options: ConnectionOptions, connection: Connection, folder: Path, mode: str, endpoint: str) -> float:
    """CPU seconds of one load into empty tables, the command's and the server's."""
    await connection.execute(RESET)
    await connection.execute("checkpoint")
    variables = {"LOG_LEVEL": "ERROR" if mode == "without" else "INFO", "DATABASE_URL": url_of(options)}
    if mode == "traced":
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    env = user_environment(**variables)
    env["PYTHONPATH"] = f"{env['PYTHONPATH']}:{ROOT}"
    command = (sys.executable, "-m", "bench.observed_load", "without" if mode == "without" else "with")
    stopwatch = await Stopwatch.beside(connection)
    sample, said = await stopwatch.time(capture(*command, env=env, cwd=folder))
    if json.loads(said)["data"][0]["records"]["inserted"] == 0:
        raise RuntimeError(f"nothing was loaded: {said}")
    return sample.client_cpu_seconds + (sample.server_cpu_seconds or 0.0)


@asynccontextmanager
async def _collector() -> AsyncGenerator[str]:
    """A process of its own, so that its time is not counted."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sink", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATASETS, default="flights")
    parser.add_argument("--pairs", type=int, default=20, help="two or more")
    parser.add_argument("--rows", type=int, help="at most so many")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    given = parser.parse_args()

    async def work(options: ConnectionOptions) -> tuple[dict[str, Any], list[Part]]:
        facts, part = await measure(options, given.data, given.pairs, given.rows)
        return facts, [part]

    report(*asyncio.run(on_a_server(work)), given.json)


if __name__ == "__main__":
    main()
