"""What all measurements share: samples, medians, tables, the machine's facts, and the file that holds it all."""

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

import kasparro
from kasparro.core.database import Connection, ConnectionOptions, connect

RESULTS: Final = Path(__file__).parent / "results"
_LIBRARIES: Final = ("asyncpg", "feedparser", "httpx", "jiter", "pgpq", "pyarrow", "pydantic")
_SERVER_SETTINGS: Final = (
    "server_version", "shared_buffers", "max_wal_size", "wal_level", "wal_compression", "fsync", "full_page_writes",
    "synchronous_commit", "checkpoint_timeout", "autovacuum", "io_method",
)  # fmt: skip
GOALS: Final[Mapping[str, tuple[str, float]]] = {
    "generated: first load / floor": ("<=", 1.3),
    "flights: first load / floor": ("<=", 1.3),
    "flights3m: first load / floor": ("<=", 1.3),
    "generated: second pass / floor": ("<=", 0.8),
    "generated: 10 % changed / floor": ("<=", 1.0),
    "flights: second pass / floor": ("<=", 0.8),
    "flights: 10 % changed / floor": ("<=", 1.0),
    "generated: rows per second, first load / dlt with Arrow": (">=", 1.6),
    "generated: rows per second, first load / dlt from dictionaries": (">=", 8),
    "flights: rows per second, first load / dlt with Arrow": (">=", 1.6),
    "flights: rows per second, first load / dlt from dictionaries": (">=", 8),
    "generated: replay / first load": ("<=", 1.3),
    "flights: replay / first load": ("<=", 1.3),
    "memory: 10 million rows / 1 million": ("<=", 1.15),
    "memory: MB at 10 million rows": ("<=", 400),
    "time: 10 million rows / 1 million": ("<=", 11),
    "JSON API: us a record on top": ("<=", 20),
    "feeds: per cent on top": ("<=", 10),
    "observability: per cent, with": ("<=", 3.0),
    "start: kasparro run, nothing to do": ("<=", 1.5),
    "start: kasparro up, after a clean stop": ("<=", 6),
}
"""What kasparro is to reach on two cores, by the name of the figure."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: wall time, and the processor seconds of clients and server meanwhile (None: not to be seen)."""

    seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float | None
    stages: Mapping[str, float] = field(default_factory=dict)
    """Where a run of kasparro says its time went, summed over its lanes."""


@dataclass
class Series:
    """The samples of one step over so many rows."""

    name: str
    rows: int
    samples: list[Sample] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def per_second(self) -> float:
        return self.rows / self.median

    @property
    def spread(self) -> str:
        seconds = [sample.seconds for sample in self.samples]
        return f"{min(seconds):.2f}..{max(seconds):.2f}"

    @property
    def cpu(self) -> tuple[str, str]:
        """Medians of the processor seconds of clients and server."""
        client = statistics.median(sample.client_cpu_seconds for sample in self.samples)
        server = [sample.server_cpu_seconds for sample in self.samples if sample.server_cpu_seconds is not None]
        return f"{client:.2f}", f"{statistics.median(server):.2f}" if server else "?"

    def as_data(self) -> dict[str, Any]:
        """Everything, for the file."""
        per_second = round(self.rows / self.median)
        samples = [asdict(sample) for sample in self.samples]
        return {
            "name": self.name,
            "rows": self.rows,
            "median": self.median,
            "per_second": per_second,
            "samples": samples,
        }


@dataclass(frozen=True)
class Part:
    """What one measurement gave: a text with its table, data for the file, and the figures that goals are set for."""

    name: str
    text: str
    data: Mapping[str, Any]
    figures: Mapping[str, float]


class Stopwatch:
    """Times work, and the processor time that it took on both sides of the socket."""

    def __init__(self, postmaster: psutil.Process | None) -> None:
        self._postmaster = postmaster

    @classmethod
    async def beside(cls, connection: Connection) -> "Stopwatch":
        """Knows the server's processes when it runs on this machine."""
        backend = await connection.fetchval("select pg_backend_pid()")
        try:
            process = psutil.Process(backend)
            parent = process.parent() if process.name().startswith("postgres") else None
        except psutil.NoSuchProcess:
            parent = None
        return cls(parent)

    async def time(self, work: Awaitable[T]) -> tuple[Sample, T]:
        """Wait for the work; what it took, and what it returned."""
        server, client, began = self._server_seconds(), _client_seconds(), time.perf_counter()
        result = await work
        seconds = time.perf_counter() - began
        after = self._server_seconds()
        took = None if server is None or after is None else after - server
        return Sample(seconds, _client_seconds() - client, took), result

    def _server_seconds(self) -> float | None:
        """Of the postmaster, the children it has waited for, and those that live."""
        if self._postmaster is None:
            return None
        while True:
            own = self._postmaster.cpu_times()
            living = sum(_seconds_of(child) for child in self._postmaster.children())
            after = self._postmaster.cpu_times()
            if (own.children_user, own.children_system) == (after.children_user, after.children_system):
                return own.user + own.system + own.children_user + own.children_system + living
            # one of them ended while they were counted: it would count twice or not at all


def _seconds_of(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return spent.user + spent.system


def _client_seconds() -> float:
    """Of this process and the children that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads in a terminal as well."""
    widths = [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return " | ".join(["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = (
        "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    )
    return "\n".join([line(headers), rule, *map(line, rows)])


async def machine(options: ConnectionOptions | None) -> dict[str, Any]:
    """What a figure depends on: processors, versions, the server's settings."""
    facts: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kasparro": kasparro.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    if options is not None:
        facts["server"] = await _server_settings(options)
    return facts


async def _server_settings(options: ConnectionOptions) -> dict[str, str]:
    connection = await connect(options, application_name="kasparro:bench")
    try:
        rows = await connection.fetch(
            "select name, current_setting(name) as value from pg_settings where name = any($1::text[])",
            list(_SERVER_SETTINGS),
        )
    finally:
        await connection.close()
    return {row["name"]: row["value"] for row in rows}


def _processor() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return models[0].partition(":")[2].strip() if models else platform.machine()


def facts_text(facts: Mapping[str, Any]) -> str:
    """One line of the machine, one of the versions, one of the server."""
    libraries = ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())
    lines = [
        f"{facts['at']}: {facts['cores']} cores ({facts['processor']}), {facts['memory_gib']} GiB, {facts['system']}",
        f"kasparro {facts['kasparro']}, Python {facts['python']}, {libraries}",
    ]
    if "server" in facts:
        settings = dict(facts["server"])
        number = settings.pop("server_version")
        lines.append(f"PostgreSQL {number}: " + ", ".join(f"{name}={value}" for name, value in settings.items()))
    return "\n".join(lines)


def report(facts: Mapping[str, Any], parts: Sequence[Part], file: Path | None) -> None:
    """Print machine, tables and goals; write everything as JSON, into bench/results unless told otherwise."""
    print(facts_text(facts))
    for part in parts:
        print(f"\n{part.text}")
    figures = {name: figure for part in parts for name, figure in part.figures.items()}
    text, verdicts = against_goals(figures)
    if verdicts:
        print(f"\nGoals (set for the sizes of `make bench-full`)\n\n{text}")
    data = {part.name: part.data for part in parts}
    if file is None:
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{'-'.join(data)}.json"
    found = {"machine": facts, **data, "figures": figures, "goals": verdicts}
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {file}")


def against_goals(figures: Mapping[str, float]) -> tuple[str, dict[str, bool]]:
    """A table of the goals whose figure was measured, and whether each is met."""
    rows: list[tuple[str, ...]] = []
    met: dict[str, bool] = {}
    for name, (sign, limit) in GOALS.items():
        if name in figures:
            met[name] = figures[name] <= limit if sign == "<=" else figures[name] >= limit
            rows.append((name, f"{sign} {limit:g}", f"{figures[name]:.2f}", "met" if met[name] else "MISSED"))
    return table(("figure", "goal", "found", ""), rows), met


def progress(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)
