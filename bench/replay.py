"""How long a replay takes beside a first load: every record through a changed mapping, which changes all of them.

    python -m bench.replay --data generated flights --rounds 3 [--rows N]

Each round loads into empty tables, changes the mapping, plans and applies, by commands as a user types them. On the
server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one of its own.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.commands import capture, user_environment
from bench.datasets import DATASETS
from bench.ground import Ground
from bench.measuring import Part, Sample, Series, Stopwatch, machine, progress, report, table
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions, connect
from kasparro.core.errors import EXIT_DIFFERENCES
from kasparro.services import batches
from kasparro.services.migrations import upgrade
from tests.recovery.facts import url_of

CHANGES: Final = {"generated": ("title: name", "title: note"), "flights": ("title: tailnum", "title: dest")}
"""What is put in the place of what in a dataset's mapping."""
STEPS: Final = ("first load", "replay plan", "replay apply")
HEADERS: Final = ("step", "seconds", "from..to", "rows/s", "of a first load", "client CPU s", "server CPU s")


async def rounds_of(ground: Ground, rounds: int) -> list[Series]:
    """Every step once in each round, each after a checkpoint."""
    series = [Series(name, ground.rows) for name in STEPS]
    stopwatch = await Stopwatch.beside(ground.connection)
    await ground.prepare()
    for number in range(1, rounds + 1):
        for one, step in zip(series, (_load, _plan, _apply), strict=True):
            await ground.connection.execute("checkpoint")
            one.samples.append(await step(ground, stopwatch))
            progress(f"{ground.dataset.name} {number}/{rounds} {one.name:<12} {one.samples[-1].seconds:8.2f} s")
        await ground.reset()
    return series


async def _load(ground: Ground, stopwatch: Stopwatch) -> Sample:
    await ground.connection.execute("truncate replay_plans restart identity")
    _write(ground, changed=False)
    sample, outcome = await stopwatch.time(ground.run())
    return await _with_stages(ground, sample, outcome["run_id"])


async def _plan(ground: Ground, stopwatch: Stopwatch) -> Sample:
    _write(ground, changed=True)
    sample, found = await stopwatch.time(_command(ground, "plan", ground.dataset.name, exit_code=EXIT_DIFFERENCES))
    if found["counts"]["changed"] < 0.9 * ground.rows:
        raise RuntimeError(f"most of {ground.rows} records expected to change: {found['counts']}")
    return sample


async def _apply(ground: Ground, stopwatch: Stopwatch) -> Sample:
    sample, found = await stopwatch.time(_command(ground, "apply", "1"))
    outcome = found["data"][0]
    if outcome["records"]["updated"] != ground.rows:
        raise RuntimeError(f"{ground.rows} records expected to be updated: {outcome['records']}")
    return await _with_stages(ground, sample, outcome["run_id"])


async def _with_stages(ground: Ground, sample: Sample, run_id: int) -> Sample:
    stages = (await batches.effort(ground.connection, run_id))[1]
    return Sample(sample.seconds, sample.client_cpu_seconds, sample.server_cpu_seconds, stages)


async def _command(ground: Ground, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    command = (sys.executable, "-m", "kasparro", "replay", *arguments, "--json", "--quiet")
    env = user_environment(DATABASE_URL=url_of(ground.options))
    return json.loads(await capture(*command, env=env, cwd=ground.folder, exit_code=exit_code))


def _write(ground: Ground, *, changed: bool) -> None:
    """The configuration, as it is or with the changed mapping."""
    old, new = CHANGES[ground.dataset.name]
    text = ground.dataset.configuration
    (ground.folder / "kasparro.yaml").write_text(text.replace(old, new) if changed else text, encoding="utf-8")


def shown(series: Sequence[Series]) -> str:
    """Medians, and how many times a first load they are."""
    first = series[0].median
    rows = [
        (one.name, f"{one.median:.2f}", one.spread, f"{one.per_second:,.0f}", f"{one.median / first:.2f}", *one.cpu)
        for one in series
    ]
    return table(HEADERS, rows)


async def measure(options: ConnectionOptions, name: str, rounds: int, rows: int | None) -> Part:
    """One dataset."""
    dataset = DATASETS[name]
    connection = await connect(options, application_name="kasparro:bench")
    try:
        with tempfile.TemporaryDirectory(prefix="ksp-bench-") as folder:
            ground = Ground(options, connection, Path(folder), dataset, dataset.at_most(rows), None)
            series = await rounds_of(ground, rounds)
    finally:
        await connection.close()
    text = f"replay of {name}: {ground.rows:,} rows, {rounds} rounds\n\n{shown(series)}"
    data = {"rows": ground.rows, "steps": [one.as_data() for one in series]}
    figures = {f"{name}: replay / first load": series[-1].median / series[0].median}
    return Part(f"replay-{name}", text, data, figures)


async def run(
    options: ConnectionOptions, names: Sequence[str], rounds: int, rows: int | None
) -> tuple[dict[str, Any], list[Part]]:
    """The machine, and a part for each dataset."""
    await upgrade(options)
    return await machine(options), [await measure(options, name, rounds, rows) for name in names]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="at most so many of each")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()
    measured = on_a_server(lambda options: run(options, arguments.data, arguments.rounds, arguments.rows))
    report(*asyncio.run(measured), arguments.json)


if __name__ == "__main__":
    main()
