"""What it costs to watch for drift: whole loads with and without, in pairs, in CPU seconds of both sides of the socket.

    python -m bench.watch flights|records [--pairs 20] [--rows N] [--second]

`flights` are rows of a file as columns, `records` those of a JSON API in pages of a thousand. Each load is a process,
into empty tables; with `--second` it reads everything again, over an accepted shape, and nothing changes. Which of a
pair is first alternates. The mean of the differences is shown with its 95 % confidence interval (Student's). On the
server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one of its own.
"""

import argparse
import asyncio
import math
import statistics
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import apis
from bench.commands import run_once
from bench.datasets import DATASETS
from bench.ground import RESET
from bench.measuring import Sample, Stopwatch, progress
from bench.server import on_a_server
from bench.upstream import upstream

from kasparro.core.database import Connection, ConnectionOptions, connect
from kasparro.services.migrations import upgrade

GOAL_PER_CENT: Final = 5.0
_OFF: Final = "    drift: {watch: false}\n"


@dataclass
class Pairs:
    """Loads without and with, in the order in which they were measured."""

    without: list[Sample] = field(default_factory=list[Sample])
    watched: list[Sample] = field(default_factory=list[Sample])

    def text(self, records: int) -> str:
        """The mean difference, of all and of each record, and how sure that is: of both sides, and of the client."""
        lines = [f"{len(self.without)} pairs of {records:,} records; goal: under {GOAL_PER_CENT:g} %"]
        for name, seconds in (("both sides", both_sides), ("client", client)):
            base = statistics.mean(map(seconds, self.without))
            differences = [seconds(more) - seconds(less) for less, more in zip(self.without, self.watched, strict=True)]
            mean, half = statistics.mean(differences), interval(differences)
            lines.append(
                f"{name}: without {base:.3f} s of CPU, with {base + mean:.3f} s; difference {mean:+.3f} s, "
                f"{mean / base:+.1%} (95 %: {(mean - half) / base:+.1%} to {(mean + half) / base:+.1%}), "
                f"{mean / records * 1e6:+.2f} us a record"
            )
        return "\n".join(lines)


def both_sides(sample: Sample) -> float:
    """CPU seconds of the load and of the server meanwhile."""
    return sample.client_cpu_seconds + (sample.server_cpu_seconds or 0.0)


def client(sample: Sample) -> float:
    """CPU seconds of the load alone: there is less noise in it."""
    return sample.client_cpu_seconds


def interval(values: Sequence[float]) -> float:
    """Half of the 95 % confidence interval of the mean; Student's quantile by Cornish and Fisher, within 1 % from 5."""
    freedom, normal = len(values) - 1, statistics.NormalDist().inv_cdf(0.975)
    quantile = normal + (normal**3 + normal) / (4 * freedom)
    quantile += (5 * normal**5 + 16 * normal**3 + 3 * normal) / (96 * freedom**2)
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


async def measure(options: ConnectionOptions, kind: str, pairs: int, rows: int | None, *, second: bool) -> str:
    """So many pairs of loads; what they say."""
    await upgrade(options)
    connection = await connect(options, application_name="kasparro:bench")
    found = Pairs()
    try:
        async with _ground(kind, rows) as (folders, count):
            for number in range(pairs):
                for which in ((0, 1), (1, 0))[number % 2]:
                    sample = await _load(options, connection, folders[which], again=second)
                    (found.without, found.watched)[which].append(sample)
                spent = both_sides(found.without[-1]), both_sides(found.watched[-1])
                progress(f"{kind} {number + 1}/{pairs}: {spent[0]:.3f} s, {spent[1]:.3f} s")
    finally:
        await connection.close()
    return found.text(count)


@asynccontextmanager
async def _ground(kind: str, rows: int | None) -> AsyncGenerator[tuple[tuple[Path, Path], int]]:
    """Two folders with the same source, the first without a watch; and how many records there are."""
    with tempfile.TemporaryDirectory(prefix="ksp-bench-") as name:
        folders = (Path(name) / "without", Path(name) / "watched")
        for folder in folders:
            folder.mkdir()
        if kind == "flights":
            dataset = DATASETS["flights"]
            count = dataset.at_most(rows)
            for folder in folders:
                dataset.write(folder, count)
            _without_watch(folders[0], (folders[0] / "kasparro.yaml").read_text(encoding="utf-8"))
            yield folders, count
            return
        pages = max(1, (rows or 50_000) // apis.PER_PAGE)
        async with upstream("records", pages, apis.PER_PAGE) as url:
            text = apis.CONFIGURATION.replace("{url}", url)
            (folders[1] / "kasparro.yaml").write_text(text, encoding="utf-8")
            _without_watch(folders[0], text)
            yield folders, pages * apis.PER_PAGE


def _without_watch(folder: Path, text: str) -> None:
    (folder / "kasparro.yaml").write_text(text.rstrip() + "\n" + _OFF, encoding="utf-8")


async def _load(options: ConnectionOptions, connection: Connection, folder: Path, *, again: bool) -> Sample:
    await connection.execute(RESET)
    if again:
        await run_once(options, folder)
    await connection.execute("checkpoint")
    stopwatch = await Stopwatch.beside(connection)
    sample, _ = await stopwatch.time(run_once(options, folder, *(("--full-refresh",) if again else ())))
    return sample


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("flights", "records"))
    parser.add_argument("--pairs", type=int, default=20, help="two or more")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--second", action="store_true", help="a second reading, over an accepted shape")
    given = parser.parse_args()

    async def work(options: ConnectionOptions) -> str:
        return await measure(options, given.kind, given.pairs, given.rows, second=given.second)

    print(asyncio.run(on_a_server(work)))


if __name__ == "__main__":
    main()
