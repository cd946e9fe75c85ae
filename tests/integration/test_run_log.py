"""What the log says of a run: few lines whatever its size, one that says it all, and every line naming the run."""

import io
import json
import logging
import re
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from kasparro.core.database import ConnectionOptions
from kasparro.core.log_lines import direct_lines_to
from kasparro.core.logging import configure_logging
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.http.contract import Fetcher
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import Batch, FinalBatch, Start
from kasparro.services.run_queue import Origin
from tests.fix_http import Http
from tests.http_server import Upstream, answer
from tests.scripted import ScriptedSource, job_of, row

DOCS = Path(__file__).resolve().parents[2] / "docs" / "logging.md"
OWN = {"measure", "expected_low", "expected_high", "seen", "score", "hint", "records", "url", "reason", "waited_ms",
       "resumes_run_id", "partitions"}  # fmt: skip
"""Fields of single events, which the table leaves out."""
Log = Callable[[], list[dict[str, Any]]]
Configured = Callable[[str], Log]


@pytest.fixture
def configured() -> Iterator[Configured]:
    """Configures the logging; what it gives reads the lines since. Everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("kasparro")
    handlers, levels = list(root.handlers), (root.level, ours.level)

    def configure(level: str) -> Log:
        stream = io.StringIO()
        configure_logging(level, service="test", stream=stream)
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    for handler in handlers:
        root.removeHandler(handler)
    yield configure
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()
    direct_lines_to(None, stamp={})


class Fetching(ScriptedSource):
    """Fetches something before its first batch, and lets a thread and a library speak."""

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        super().__init__({"p": [row("k", "a")]})
        self._fetcher, self._url = fetcher, url

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        await self._fetcher.get(self._url)
        await to_thread(logging.getLogger("library").warning, "spoken")
        async for item in super().read(partition, start):
            yield item


@pytest.mark.parametrize(("records", "batches"), [(3, 1), (90, 30)])
async def test_a_run_logs_two_lines_whatever_its_size(
    database: ConnectionOptions, configured: Configured, records: int, batches: int
) -> None:
    log = configured("INFO")
    source = ScriptedSource({"p": [row(f"k{number}", "a") for number in range(records)]})
    await run_source(job_of(source), Request(), Conditions(database))
    started, finished = log()
    assert (started["event"], finished["event"], finished["batches"]) == ("run.started", "run.finished", batches)


async def test_the_line_of_a_run_says_what_became_of_it(database: ConnectionOptions, configured: Configured) -> None:
    log = configured("INFO")
    rows = [
        row("k1", "a"),
        row("k2", "b"),
        {**row("k3", "c"), "bad": True},
        {"title": "x"},
        {**row("k4", "d"), "skip": 1},
    ]
    await run_source(job_of(ScriptedSource({"p": rows})), Request(), Conditions(database))
    line = log()[-1]
    assert set(line.pop("stage_seconds")) == {"read", "transform", "store"}
    assert line.pop("timestamp").endswith("Z")
    assert re.fullmatch(r"run 1 partial: 5 records in \d+\.\d s", line.pop("message"))
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "run.finished", "level": "info", "service": "test", "version": line["version"], "run_id": 1,
        "source": "scripted", "state": "partial", "trigger": "cli", "operation": None, "batches": 2, "size_bytes": 50,
        "records_fetched": 5, "records_inserted": 2, "records_updated": 0, "records_unchanged": 0,
        "records_duplicate": 0, "records_rejected": 2, "records_filtered": 1, "records_deleted": 0,
        "rejects": {"bad": 1, "key_missing": 1},
    }  # fmt: skip


async def test_a_failed_run_says_why_in_the_same_line(database: ConnectionOptions, configured: Configured) -> None:
    def break_off(_partition: str, _position: int) -> None:
        raise ValueError("https://ada:hunter2@example.org/\nrun.finished")

    log = configured("INFO")
    await run_source(job_of(ScriptedSource({"p": [row("k", "a")]}, before=break_off)), Request(), Conditions(database))
    (unexpected,) = [line for line in log() if line["event"] == "run.failed_unexpectedly"]
    (line,) = [line for line in log() if line["event"] == "run.finished"]
    assert unexpected["run_id"] == 1
    assert "ValueError" in unexpected["error.stack"]
    assert (line["event"], line["level"], line["error.type"]) == ("run.finished", "warning", "unexpected")
    assert "hunter2" not in repr(log())
    assert "https://***@example.org/" in line["error.message"]


async def test_a_run_that_could_not_begin_has_its_line_too(
    empty_database: ConnectionOptions, configured: Configured
) -> None:
    log = configured("INFO")
    await run_source(job_of(ScriptedSource({"p": [row("k", "a")]})), Request(), Conditions(empty_database))
    (line,) = log()
    assert (line["event"], line["level"], line["source"]) == ("run.not_recorded", "warning", "scripted")
    assert (line["state"], line["error.type"]) == ("failed", "migrations_pending")


async def test_every_line_of_a_run_names_it_and_who_asked(
    database: ConnectionOptions, configured: Configured, upstream: Upstream, http: Http
) -> None:
    log = configured("DEBUG")
    source = Fetching(http.fetcher(), upstream.on("/a", answer(503), answer(body=b"x")))
    request = Request(origin=Origin("asked-for-it"))
    await run_source(job_of(source), request, Conditions(database))
    configured("INFO")
    lines = [line for line in log() if line["event"] != "log.asyncio"]
    within = [line for line in lines if "run_id" in line]
    events = {line["event"] for line in within}
    assert {"http.upstream_request", "http.retry", "log.library", "batch.committed", "run.finished"} <= events
    assert {
        (line["run_id"], line["source"], line["request_id"]) for line in within if line["source"] == "scripted"
    } == {(1, "scripted", "asked-for-it")}
    assert {line["request_id"] for line in lines} == {"asked-for-it"}
    (batch,) = [line for line in lines if line["event"] == "batch.committed"]
    assert (batch["partition"], batch["lane"], batch["batch_no"], batch["attempt"]) == ("p", 0, 1, 1)


async def test_after_a_run_nothing_is_said_in_its_name(database: ConnectionOptions, configured: Configured) -> None:
    log = configured("INFO")
    await run_source(job_of(ScriptedSource({"p": [row("k", "a")]})), Request(), Conditions(database))
    logging.getLogger("library").warning("later")
    assert not {"run_id", "source", "request_id"} & log()[-1].keys()


async def test_the_documentation_knows_every_field(
    database: ConnectionOptions, configured: Configured, upstream: Upstream, http: Http
) -> None:
    log = configured("DEBUG")
    await run_source(
        job_of(Fetching(http.fetcher(), upstream.on("/a", answer(body=b"x")))), Request(), Conditions(database)
    )
    rows = [{**row("k3", "c"), "bad": True}]
    await run_source(job_of(ScriptedSource({"p": rows}, name="other")), Request(), Conditions(database))
    text = DOCS.read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z_.]+)`", text))
    fields = {name for line in log() for name in line}
    assert fields - documented - OWN == set()
    table = re.findall(r"^\| (`[^|]+`) \|", text.partition("## Fields")[2].partition("###")[0], re.MULTILINE)
    stated = {name for names in table for name in re.findall(r"`([a-z_.]+)`", names)}
    of_requests = {"http_method", "http_route", "trace_id", "span_id", "request_id", "error.stack"}
    assert stated - fields - of_requests <= {"error.type", "error.message"}
