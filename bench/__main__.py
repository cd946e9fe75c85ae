"""Everything, side by side in one go: `make bench` (minutes), `make bench-full` (about half an hour).

    python -m bench [--full] [--json FILE]

On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one of its own. Tables and goals
are printed, and everything is written as JSON.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import apis, feeds, loads, memory, replay, startup
from bench.datasets import DATASETS, FLIGHTS_3M
from bench.load_steps import OURS, STEPS
from bench.loads import Plan
from bench.measuring import Part, machine, report
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions
from kasparro.services.migrations import upgrade


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    rows: int | None
    """Of each dataset, at most."""
    pages: int
    feeds: int
    memory_rows: Sequence[int]


SHORT: Final = Sizes(2, 200_000, 50, 10, (200_000, 1_000_000))
FULL: Final = Sizes(5, None, apis.DOCUMENTS, feeds.DOCUMENTS, (500_000, 1_000_000, 5_000_000, 10_000_000))


async def measure(options: ConnectionOptions, sizes: Sizes) -> tuple[dict[str, Any], list[Part]]:
    """The machine, and all parts, one after another: nothing else may run meanwhile.

    dlt has no merge by the hash of a row, and so no part in the three million flights, which have no key.
    """
    await upgrade(options)
    facts = await machine(options)
    plan = Plan(tuple(STEPS), sizes.rounds, sizes.rows)
    parts: list[Part] = []
    for dataset in DATASETS.values():
        steps = OURS if dataset is FLIGHTS_3M else plan.steps
        parts.append(await loads.measure(options, dataset, replace(plan, steps=steps)))
    parts += [await replay.measure(options, name, sizes.rounds, sizes.rows) for name in replay.CHANGES]
    parts.append(await apis.measure(options, sizes.rounds, sizes.pages))
    parts.append(await feeds.measure(options, sizes.rounds, sizes.feeds))
    parts.append(await memory.measure(options, sizes.memory_rows))
    parts.append(await startup.measure(sizes.rounds))
    return facts, parts


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="medians of five over the full sizes")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()
    sizes = FULL if arguments.full else SHORT
    report(*asyncio.run(on_a_server(lambda options: measure(options, sizes))), arguments.json)


if __name__ == "__main__":
    main()
