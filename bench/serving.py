"""`GET /data?limit=100` over the flights, by wrk, beside a bare handler that returns the same rows: in turn, medians.

python -m bench.serving --rounds 3 --seconds 8 --json serving.json     (DATABASE_URL, or an embedded server of its own)

Needs wrk (a Debian package of that name). Both servers run as processes of their own, one worker each, with ten
connections; kasparro's writes its log lines, and its limit of requests is on, but too high to be reached.
"""

import argparse
import asyncio
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import ROOT, environment, kasparro
from tests.long.flights import ROWS, write_flights
from tests.recovery.facts import url_of

GOAL = 0.6
CONNECTIONS = 16
PATH = "/data?limit=100"
_RESULT = {
    "requests_per_second": re.compile(r"Requests/sec:\s+([0-9.]+)"),
    "median": re.compile(r"50%\s+([0-9.]+\w+)"),
    "late": re.compile(r"99%\s+([0-9.]+\w+)"),
}


@dataclass(frozen=True)
class Round:
    """What wrk said of one server."""

    requests_per_second: float
    median: str
    late: str


async def wrk(url: str, seconds: int) -> Round:
    """One measurement. Raises RuntimeError when any answer was not a 200."""
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", url, stdout=asyncio.subprocess.PIPE
    )
    text = (await process.communicate())[0].decode()
    if process.returncode or "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    found = {name: pattern.search(text) for name, pattern in _RESULT.items()}
    values: dict[str, Any] = {name: match[1] for name, match in found.items() if match is not None}
    return Round(float(values["requests_per_second"]), values["median"], values["late"])


@asynccontextmanager
async def serving(port: int, *arguments: str, env: dict[str, str]) -> AsyncGenerator[str]:
    """A server process; the address of the page, once it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, "--port", str(port), env=env, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}{PATH}"
    try:
        await _until_answering(url, process)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _until_answering(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as client:
        while process.returncode is None:
            try:
                (await client.get(url)).raise_for_status()
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
            else:
                return
    raise RuntimeError(f"the server of {url} ended early")


async def load(options: ConnectionOptions, folder: Path) -> None:
    """The flights, once."""
    await upgrade(options)
    write_flights(folder)
    ended = await kasparro("run", "--json", "--quiet", env=environment(DATABASE_URL=url_of(options)), cwd=folder)
    if ended.exit_code or ended.document["data"][0]["records"]["fetched"] not in (0, ROWS):
        raise RuntimeError(ended.stderr)


async def require_equal(ours: str, bare: str) -> None:
    """Both must return the same records, byte for byte after parsing."""
    async with httpx.AsyncClient() as client:
        bodies = [(await client.get(url)).json()["data"] for url in (ours, bare)]
    if bodies[0] != bodies[1] or len(bodies[0]) != 100:
        raise RuntimeError("the two servers return different records: bench/bare_server.py has another SQL")


async def measure(options: ConnectionOptions, rounds: int, seconds: int) -> dict[str, Any]:
    """Both servers in turn, with a short warm-up of each."""
    env = environment(DATABASE_URL=url_of(options), KASPARRO_REQUESTS_PER_MINUTE="1000000")
    results: dict[str, list[Round]] = {"kasparro": [], "bare": []}
    with tempfile.TemporaryDirectory() as name:
        await load(options, Path(name))
        env["KASPARRO_HOME"] = name
        first, second = free_port(), free_port()
        async with (
            serving(first, "-m", "kasparro", "serve", env=env) as ours,
            serving(second, "-m", "bench.bare_server", env=env | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}) as bare,
        ):
            await require_equal(ours, bare)
            for url in (ours, bare):
                await wrk(url, 2)
            for number in range(rounds):
                for server, url in (("kasparro", ours), ("bare", bare)):
                    results[server].append(await wrk(url, seconds))
                    print(f"round {number + 1}  {server:<9} {_line(results[server][-1])}")
    return summary(results)


def summary(results: dict[str, list[Round]]) -> dict[str, Any]:
    """The medians, their ratio, and all rounds."""
    medians = {name: statistics.median(round_.requests_per_second for round_ in of) for name, of in results.items()}
    ratio = medians["kasparro"] / medians["bare"]
    print(f"median   kasparro  {medians['kasparro']:8.0f} requests/s")
    print(f"median   bare      {medians['bare']:8.0f} requests/s")
    print(f"ratio    {ratio:.2f} (goal {GOAL}: {'met' if ratio >= GOAL else 'MISSED'})")
    rounds = {name: [asdict(round_) for round_ in of] for name, of in results.items()}
    return {"path": PATH, "connections": CONNECTIONS, "medians": medians, "ratio": ratio, "rounds": rounds}


def _line(result: Round) -> str:
    return f"{result.requests_per_second:8.0f} requests/s   half within {result.median}, 99 % within {result.late}"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run(options: ConnectionOptions, arguments: argparse.Namespace) -> None:
    """Measure and write what was found."""
    found = await measure(options, arguments.rounds, arguments.seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure on DATABASE_URL, or on an embedded server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench.serving: wrk is missing; on Debian and Ubuntu: apt install wrk")
    asyncio.run(on_a_server(lambda options: run(options, arguments)))


if __name__ == "__main__":
    main()
