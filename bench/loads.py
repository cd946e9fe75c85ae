"""How long loads take beside the floor: medians of several rounds, in each of which every step has its turn.

    python -m bench.loads --data generated flights --rounds 3 [--rows N] [--only floor first] [--concurrency N]

On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one of its own.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.datasets import DATASETS, Dataset
from bench.ground import Ground
from bench.load_steps import OURS, STEPS
from bench.measuring import Series, Stopwatch, facts_text, machine, progress, save, table
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions, connect
from kasparro.services import batches
from kasparro.services.migrations import upgrade

HEADERS = ("step", "seconds", "from..to", "rows/s", "of the floor", "client CPU s", "server CPU s")


async def rounds_of(ground: Ground, names: Sequence[str], rounds: int) -> list[Series]:
    """Every step once in each round, each after a checkpoint, so that none pays for what another has written."""
    series = {name: Series(STEPS[name].title, ground.rows) for name in names}
    stopwatch = await Stopwatch.beside(ground.connection)
    await ground.prepare()
    for number in range(1, rounds + 1):
        for name in names:
            await _one(ground, name, series[name], stopwatch)
            progress(f"{ground.dataset.name} {number}/{rounds} {name:<10} {series[name].samples[-1].seconds:8.2f} s")
        await ground.reset()
    return list(series.values())


async def _one(ground: Ground, name: str, series: Series, stopwatch: Stopwatch) -> None:
    step = STEPS[name]
    await step.prepare(ground)
    await ground.connection.execute("checkpoint")
    sample, said = await stopwatch.time(step.work(ground))
    if said.seconds is not None:
        sample = replace(sample, seconds=said.seconds)
    if said.run_id is not None:
        sample = replace(sample, stages=(await batches.effort(ground.connection, said.run_id))[1])
    series.samples.append(sample)
    await ground.connection.execute(step.afterwards)


def load_table(series: Sequence[Series]) -> str:
    """Medians, and how many times the floor they are where the floor was measured."""
    floor = next((one.median for one in series if one.name == STEPS["floor"].title), None)
    rows: list[tuple[str, ...]] = []
    for one in series:
        ratio = "" if floor is None else f"{one.median / floor:.2f}"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.rows / one.median:,.0f}", ratio, *one.cpu))
    return table(HEADERS, rows)


async def measure(options: ConnectionOptions, dataset: Dataset, arguments: argparse.Namespace) -> dict[str, Any]:
    """One dataset: print its table, return its figures."""
    rows = dataset.at_most(arguments.rows)
    connection = await connect(options, application_name="kasparro:bench")
    try:
        with tempfile.TemporaryDirectory(prefix="ksp-bench-") as name:
            ground = Ground(options, connection, Path(name), dataset, rows, arguments.concurrency)
            series = await rounds_of(ground, arguments.only, arguments.rounds)
    finally:
        await connection.close()
    print(f"\n{dataset.name}: {rows:,} rows, {arguments.rounds} rounds\n\n{load_table(series)}\n")
    return {"rows": rows, "rounds": arguments.rounds, "steps": [one.as_data() for one in series]}


async def run(options: ConnectionOptions, arguments: argparse.Namespace) -> dict[str, Any]:
    """All datasets that were asked for, and the machine."""
    await upgrade(options)
    connection = await connect(options, application_name="kasparro:bench")
    facts = await machine(connection)
    await connection.close()
    print(facts_text(facts))
    loads = {name: await measure(options, DATASETS[name], arguments) for name in arguments.data}
    return {"machine": facts, "concurrency": arguments.concurrency, "loads": loads}


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="at most so many of each")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=OURS)
    parser.add_argument("--concurrency", type=int, help="lanes of kasparro run (default: its own)")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()
    found = asyncio.run(on_a_server(lambda options: run(options, arguments)))
    save(found, "loads", arguments.json)


if __name__ == "__main__":
    main()
