"""How long loads take beside the floor: medians of several rounds, in each of which every step has its turn.

    python -m bench.loads --data generated flights --rounds 3 [--rows N] [--only floor first] [--concurrency N]

On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one of its own.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.datasets import DATASETS, Dataset
from bench.ground import Ground
from bench.load_steps import OURS, STEPS, Step
from bench.measuring import Part, Sample, Series, Stopwatch, machine, progress, report, table
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions, connect
from kasparro.services import batches
from kasparro.services.migrations import upgrade

HEADERS = ("step", "seconds", "from..to", "rows/s", "of the floor", "client CPU s", "server CPU s")


@dataclass(frozen=True)
class Plan:
    """Which steps are measured, how often and how."""

    steps: Sequence[str] = OURS
    rounds: int = 3
    rows: int | None = None
    """At most so many (None: as many as are usual)."""
    concurrency: int | None = None
    """Lanes of `kasparro run` (None: its own choice)."""


async def rounds_of(ground: Ground, plan: Plan) -> dict[str, Series]:
    """Every step once in each round, each after a checkpoint, so that none pays for what another has written."""
    series = {name: Series(STEPS[name].title, ground.rows) for name in plan.steps}
    stopwatch = await Stopwatch.beside(ground.connection)
    await ground.prepare()
    for number in range(1, plan.rounds + 1):
        for name, one in series.items():
            if number > 1 and STEPS[name].once:
                continue
            one.samples.append(await _sample(ground, STEPS[name], stopwatch))
            progress(f"{ground.dataset.name} {number}/{plan.rounds} {name:<10} {one.samples[-1].seconds:8.2f} s")
        await ground.reset()
    return series


async def _sample(ground: Ground, step: Step, stopwatch: Stopwatch) -> Sample:
    await step.prepare(ground)
    await ground.connection.execute("checkpoint")
    sample, said = await stopwatch.time(step.work(ground))
    if said.seconds is not None:
        sample = replace(sample, seconds=said.seconds)
    if said.run_id is not None:
        sample = replace(sample, stages=(await batches.effort(ground.connection, said.run_id))[1])
    await ground.connection.execute(step.afterwards)
    return sample


def load_table(series: Sequence[Series]) -> str:
    """Medians, and how many times the floor they are where the floor was measured."""
    floor = next((one.median for one in series if one.name == STEPS["floor"].title), None)
    rows: list[tuple[str, ...]] = []
    for one in series:
        ratio = "" if floor is None else f"{one.median / floor:.2f}"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.per_second:,.0f}", ratio, *one.cpu))
    return table(HEADERS, rows)


def figures_of(name: str, series: Mapping[str, Series]) -> dict[str, float]:
    """The ratios that goals are set for, of the steps that were measured."""
    figures: dict[str, float] = {}
    if "floor" in series:
        floor = series["floor"].median
        for step, words in {"first": "first load", "second": "second pass", "changed": "10 % changed"}.items():
            if step in series:
                figures[f"{name}: {words} / floor"] = series[step].median / floor
    if "first" in series:
        ours = series["first"].per_second
        for step, words in {"dlt-arrow": "dlt with Arrow", "dlt-dicts": "dlt from dictionaries"}.items():
            if step in series:
                figures[f"{name}: rows per second, first load / {words}"] = ours / series[step].per_second
    return figures


async def measure(options: ConnectionOptions, dataset: Dataset, plan: Plan) -> Part:
    """One dataset."""
    rows = dataset.at_most(plan.rows)
    connection = await connect(options, application_name="kasparro:bench")
    try:
        with tempfile.TemporaryDirectory(prefix="ksp-bench-") as name:
            ground = Ground(options, connection, Path(name), dataset, rows, plan.concurrency)
            series = await rounds_of(ground, plan)
    finally:
        await connection.close()
    text = f"{dataset.name}: {rows:,} rows, {plan.rounds} rounds\n\n{load_table(list(series.values()))}"
    data = {"rows": rows, "plan": asdict(plan), "steps": {name: one.as_data() for name, one in series.items()}}
    return Part(dataset.name, text, data, figures_of(dataset.name, series))


async def run(options: ConnectionOptions, names: Sequence[str], plan: Plan) -> tuple[dict[str, Any], list[Part]]:
    """The machine, and a part for each dataset."""
    await upgrade(options)
    facts = await machine(options)
    return facts, [await measure(options, DATASETS[name], plan) for name in names]


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
    plan = Plan(tuple(arguments.only), arguments.rounds, arguments.rows, arguments.concurrency)
    report(*asyncio.run(on_a_server(lambda options: run(options, arguments.data, plan))), arguments.json)


if __name__ == "__main__":
    main()
