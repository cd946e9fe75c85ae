"""How long commands take to start: in a home of their own, with the configuration that is shipped.

    python -m bench.startup --rounds 5

`kasparro up --detach` is timed from a clean stop until its API is healthy; it starts the database, the demo upstream,
the API and the scheduler, and loads what is new. `kasparro run` is timed while only the database runs, over a file that
has not changed.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from bench.commands import capture, user_environment
from bench.measuring import Part, Sample, Series, machine, progress, report, table
from bench.serving import free_port

from tests.acceptance.kasparro_process import ROOT

SOURCE = "earthquakes_csv"


@dataclass(frozen=True)
class Place:
    """A folder with the shipped configuration and its file; ports and a home of its own."""

    folder: Path
    env: dict[str, str]
    port: int

    async def timed(self, *arguments: str) -> Sample:
        """The command from start to exit."""
        began = time.perf_counter()
        await self.kasparro(*arguments)
        return Sample(time.perf_counter() - began, 0.0, None)

    async def kasparro(self, *arguments: str) -> str:
        """Its standard output."""
        return await capture(sys.executable, "-m", "kasparro", *arguments, env=self.env, cwd=self.folder)

    async def require_healthy(self) -> None:
        """Raise unless the API says that it is."""
        async with httpx.AsyncClient() as client:
            (await client.get(f"http://127.0.0.1:{self.port}/health")).raise_for_status()


@asynccontextmanager
async def place() -> AsyncGenerator[Place]:
    """Everything in it is stopped and removed in the end."""
    with tempfile.TemporaryDirectory(prefix="ksp-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o711)  # noqa: ASYNC240  the account of the embedded server must reach its home
        shutil.copy(ROOT / "kasparro.yaml", folder)
        shutil.copytree(ROOT / "data", folder / "data")
        env = user_environment(
            KASPARRO_HOME=str(folder / "home"), KASPARRO_PORT=str(port), KASPARRO_DEMO_PORT=str(free_port()),
            API_KEY=secrets.token_hex(16),
        )  # fmt: skip
        env.pop("DATABASE_URL", None)
        found = Place(folder, env, port)
        try:
            yield found
        finally:
            await found.kasparro("down", "--force", "--quiet")


async def _ups(found: Place, rounds: int) -> list[Series]:
    first, again = Series("kasparro up, in a new home", 1), Series("kasparro up, after a clean stop", 1)
    for number in range(rounds + 1):
        sample = await found.timed("up", "--detach", "--quiet")
        await found.require_healthy()
        (again if number else first).samples.append(sample)
        progress(f"startup {number}/{rounds} up {sample.seconds:.2f} s")
        await found.kasparro("down", "--quiet")
    return [first, again]


async def _runs(found: Place, rounds: int) -> list[Series]:
    await found.kasparro("run", SOURCE, "--quiet")
    idle, version = Series("kasparro run, nothing to do", 1), Series("kasparro --version", 1)
    for number in range(1, rounds + 1):
        idle.samples.append(await found.timed("run", SOURCE, "--quiet"))
        version.samples.append(await found.timed("--version"))
        progress(f"startup {number}/{rounds} run {idle.samples[-1].seconds:.2f} s")
    return [idle, version]


async def measure(rounds: int) -> Part:
    """Both kinds of start, one after the other."""
    async with place() as found:
        series = [*await _ups(found, rounds), *await _runs(found, rounds)]
    text = table(("command", "seconds", "from..to"), [(one.name, f"{one.median:.2f}", one.spread) for one in series])
    figures = {f"start: {one.name}": one.median for one in series}
    return Part("startup", f"Start-up\n\n{text}", {"steps": [one.as_data() for one in series]}, figures)


async def run(rounds: int, json_file: Path | None) -> None:
    """Measure and report."""
    report(await machine(None), [await measure(rounds)], json_file)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures (default: into bench/results)")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.rounds, arguments.json))


if __name__ == "__main__":
    main()
