"""Traces, by OpenTelemetry's own SDK, at a real collector on loopback: what is sent, what is honoured, and what an
absent collector or absent packages change (nothing).
"""

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kasparro.core import tracing
from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.log_lines import direct_lines_to
from kasparro.core.logging import configure_logging
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.http.contract import HttpPolicy
from kasparro.ingestion.run import Conditions, run_source
from kasparro.workers.queue import Queue
from tests.acceptance.kasparro_process import ROOT, environment, finish
from tests.fix_http import Http
from tests.http_server import Upstream, answer, running
from tests.recovery.facts import url_of
from tests.scripted import ScriptedSource, job_of, row
from tests.test_api.operating import operator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SECRET = "hunter2" * 3
Log = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Seen:
    """A span as the collector has it: ids in hex."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    attributes: dict[str, Any]
    failed: bool
    message: str


class Collector:
    """Takes OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

    def __init__(self, server: Upstream) -> None:
        self.server = server
        server.on("/v1/traces", answer(200, b"", {"Content-Type": "application/x-protobuf"}))

    async def spans(self) -> list[Seen]:
        """All that were sent; nothing is traced any more."""
        await asyncio.to_thread(tracing.stop)
        return [_seen(span) for message in self._messages() for span in _spans_of(message)]

    def resource(self) -> dict[str, Any]:
        return _attributes(self._messages()[0].resource_spans[0].resource.attributes)

    def _messages(self) -> list[Any]:
        return [ExportTraceServiceRequest.FromString(request.body) for request in self.server.requests]


def _spans_of(message: Any) -> list[Any]:
    return [span for each in message.resource_spans for scope in each.scope_spans for span in scope.spans]


def _seen(span: Any) -> Seen:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    attributes = _attributes(span.attributes)
    return Seen(span.name, *ids, span.kind, attributes, span.status.code == 2, span.status.message)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


@pytest.fixture(autouse=True)
def standing_still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the environment's own; spans are sent when tracing ends, and it is over after each test."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    yield
    tracing.stop()
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running() as server:
        collector = Collector(server)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        tracing.start("test")
        assert tracing.is_on()
        yield collector
        await asyncio.to_thread(tracing.stop)


@pytest.fixture
def log() -> Iterator[Log]:
    """The lines logged since; everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("kasparro")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    for handler in handlers:
        root.removeHandler(handler)
    stream = io.StringIO()
    configure_logging("DEBUG", service="test", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()
    direct_lines_to(None, stamp={})


def named(spans: list[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name == name]


async def test_a_run_is_a_trace_of_its_stages_and_batches(
    database: ConnectionOptions, collector: Collector, log: Log
) -> None:
    rows = [*(row(f"k{number}", "a") for number in range(4)), {**row("k5", "b"), "bad": True}]
    outcome = await run_source(job_of(ScriptedSource({"p": rows})), Request(), Conditions(database))
    assert outcome.row is not None
    spans = await collector.spans()

    (run,) = named(spans, "run scripted")
    assert run.parent == ""
    assert run.attributes == {
        "kasparro.source": "scripted", "kasparro.trigger": "cli", "kasparro.run_id": outcome.row["id"],
        "kasparro.state": "partial", "kasparro.records_fetched": 5,
    }  # fmt: skip
    assert {span.trace for span in spans} == {run.trace}
    by_parent = {name: {span.parent for span in named(spans, name)} for name in ("read", "transform", "batch")}
    assert by_parent == {"read": {run.id}, "transform": {run.id}, "batch": {run.id}}
    assert [span.attributes.get("kasparro.records") for span in named(spans, "read")] == [3, 2, None]
    first, second = named(spans, "batch")
    assert first.attributes == {
        "kasparro.partition": "p", "kasparro.lane": 0, "kasparro.batch_no": 1, "kasparro.attempt": 1,
        "kasparro.records": 3, "kasparro.records_rejected": 0,
    }  # fmt: skip
    assert (second.attributes["kasparro.batch_no"], second.attributes["kasparro.records_rejected"]) == (2, 1)
    parts = [(span.name, span.attributes) for span in spans if span.parent == first.id]
    assert parts == [(name, {"db.system.name": "postgresql"}) for name in ("write", "checkpoint", "commit")]
    assert {line.get("trace_id") for line in log() if line["event"].startswith(("run.", "batch."))} == {run.trace}
    assert collector.resource()["service.name"] == "kasparro-test"


async def test_what_a_run_fails_of_stands_in_its_span_without_secrets(
    database: ConnectionOptions, collector: Collector
) -> None:
    def break_off(_partition: str, position: int) -> None:
        if position:
            raise ValueError(f"at postgresql://ada:{SECRET}@db/x")

    source = ScriptedSource({"p": [row(f"k{number}", "a") for number in range(9)]}, before=break_off)
    await run_source(job_of(source), Request(), Conditions(database))
    spans = await collector.spans()
    (run,) = named(spans, "run scripted")
    assert run.failed
    assert run.attributes["kasparro.state"] == "failed"
    assert "ValueError: at postgresql://***@db/x" in run.message
    failed = [span for span in named(spans, "read") if span.failed]
    assert [span.attributes["error.type"] for span in failed] == ["ValueError"]
    assert SECRET not in repr(spans)


@pytest.mark.usefixtures("records")
async def test_a_request_continues_the_callers_trace(client: httpx.AsyncClient, collector: Collector, log: Log) -> None:
    await client.get("/data?limit=1", headers={"traceparent": TRACEPARENT})
    await client.get("/data/9999")
    await client.get("/nowhere", headers={"traceparent": f"00-{'0' * 32}-{PARENT}-01"})
    spans = await collector.spans()
    assert [(span.name, span.kind) for span in spans] == [("GET /data", 2), ("GET /data/{id}", 2), ("GET", 2)]
    first, second, third = spans
    assert (first.trace, first.parent) == (TRACE, PARENT)
    assert first.attributes == {
        "http.request.method": "GET", "url.scheme": "http", "url.path": "/data", "server.address": "kasparro",
        "network.protocol.version": "1.1", "http.route": "/data", "http.response.status_code": 200,
    }  # fmt: skip
    assert (second.parent, third.parent) == ("", "")
    assert len({span.trace for span in spans}) == 3
    assert [span.failed for span in spans] == [False, False, False]
    lines = [line for line in log() if line["event"] == "http.request"]
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [(span.trace, span.id) for span in spans]


@pytest.mark.usefixtures("records")
async def test_an_unsampled_trace_is_not_sent(client: httpx.AsyncClient, collector: Collector) -> None:
    await client.get("/data", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert await collector.spans() == []


async def test_what_machines_ask_all_the_time_is_traced_as_part_of_a_trace_only(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    await client.get("/health/live")
    await client.get("/metrics")
    await client.get("/health/live", headers={"traceparent": TRACEPARENT})
    assert [(span.name, span.trace) for span in await collector.spans()] == [("GET /health/live", TRACE)]


async def test_the_upstream_that_is_asked_gets_the_trace_and_no_other_does(
    collector: Collector, upstream: Upstream, http: Http
) -> None:
    async with running(host="127.0.0.2") as other:
        url = upstream.on("/a", answer(503), answer(302, headers={"Location": "/b"}))
        upstream.on("/b", answer(302, headers={"Location": other.on("/c", answer(body=b"x"))}))
        with tracing.span("test", parent=TRACEPARENT):
            await http.fetcher().get(f"{url}?token={SECRET}")
        spans = await collector.spans()
        sent = [request.headers.get("traceparent") for request in upstream.requests]
        assert [header and header.split("-")[1] for header in sent] == [TRACE] * 3
        gets = named(spans, "GET")
        assert [header and header.split("-")[2] for header in sent] == [span.id for span in gets[:3]]
        assert [(request.path, request.headers.get("traceparent")) for request in other.requests] == [("/c", None)]
    assert [(span.kind, span.failed) for span in gets] == [(3, True), (3, False), (3, False), (3, False)]
    assert gets[0].attributes == {
        "http.request.method": "GET", "server.address": "127.0.0.1", "server.port": upstream.port,
        "url.full": f"{url}?token=***", "http.response.status_code": 503, "error.type": "503",
    }  # fmt: skip
    assert gets[1].attributes["http.request.resend_count"] == 1


@pytest.mark.usefixtures("collector")
async def test_a_source_may_send_a_traceparent_of_its_own(upstream: Upstream, http: Http) -> None:
    url = upstream.on("/a", answer(body=b"x"))
    await http.fetcher(HttpPolicy(allow_private=True, headers={"Traceparent": "mine"})).get(url)
    assert upstream.last("/a").headers["traceparent"] == "mine"


async def test_untraced_an_upstream_gets_no_traceparent(upstream: Upstream, http: Http) -> None:
    await http.fetcher().get(upstream.on("/a", answer(body=b"x")))
    assert "traceparent" not in upstream.last("/a").headers


async def test_a_queued_run_belongs_to_the_request_that_asked_for_it(
    client: httpx.AsyncClient, connection: Connection, database: ConnectionOptions, collector: Collector, log: Log
) -> None:
    job = job_of(ScriptedSource({"p": [row("k", "a")]}))
    await run_source(job, Request(), Conditions(database))
    headers = await operator(connection) | {"traceparent": TRACEPARENT, "x-request-id": "asked-for-it"}
    reply = await client.post("/runs", json={"source": "scripted"}, headers=headers)
    run_id = reply.json()["data"][0]["id"]
    queue = Queue(database, asyncio.Event())
    (queued,) = await queue.ask(["scripted"])
    await queue.close()
    request = Request(queued.trigger, queued_run_id=queued.id, origin=queued.origin)
    await run_source(job, request, Conditions(database))

    spans = [span for span in await collector.spans() if span.trace == TRACE]
    (asked,), (run,) = named(spans, "POST /runs"), named(spans, "run scripted")
    assert (asked.parent, run.parent, run.attributes["kasparro.run_id"]) == (PARENT, asked.id, run_id)
    lines = [line for line in log() if line.get("run_id") == run_id]
    assert {(line["request_id"], line["source"]) for line in lines} == {("asked-for-it", "scripted")}
    assert {"run.started", "batch.committed", "run.finished"} <= {line["event"] for line in lines}
    plan = (await client.get(f"/runs/{run_id}")).json()["data"]["plan"]
    assert plan["asked"]["request_id"] == "asked-for-it"
    assert plan["partitions"] == ["p"]


@pytest.mark.usefixtures("records")
async def test_untraced_a_queued_run_names_the_request_all_the_same(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    headers = await operator(connection) | {"x-request-id": "asked-for-it"}
    await client.post("/runs", json={"source": "quakes"}, headers=headers)
    assert json.loads(await connection.fetchval("select plan from etl_runs")) == {
        "asked": {"request_id": "asked-for-it"}
    }


async def test_an_absent_collector_is_told_of_once_and_harms_nothing(
    database: ConnectionOptions, monkeypatch: pytest.MonkeyPatch, log: Log, port: int
) -> None:
    monkeypatch.setattr("kasparro.core.tracing_export.LEAVE_SECONDS", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.05")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    tracing.start("test")
    source = ScriptedSource({"p": [row(f"k{number}", "a") for number in range(9)]})
    outcome = await run_source(job_of(source), Request(), Conditions(database))
    await asyncio.to_thread(tracing.stop)
    assert outcome.state == "succeeded"
    told = [line for line in log() if line["event"].startswith(("tracing", "log.opentelemetry"))]
    assert [(line["event"], line["level"]) for line in told] == [("tracing.export_failed", "warning")]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER=console: there is only otlp, and none"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "there is only http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "no traces: "),
    ],
)
def test_what_cannot_be_done_is_told_and_left(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.start("test")
    assert not tracing.is_on()
    (line,) = log()
    assert line["event"] == "tracing.off"
    assert said in line["message"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.start("test")
    assert not tracing.is_on()
    assert log() == []
    assert tracing.span("x") is tracing.span("y", {"a": 1}, kind="client", parent=TRACEPARENT)
    assert (tracing.open_span("x"), tracing.traceparent(), dict(tracing.current_ids())) == (None, None, {})


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from kasparro.cli.main import main
sys.argv = ["kasparro", "run", "--json"]
try:
    main()
finally:
    print(sorted(name for name in sys.modules if name.startswith("opentelemetry")), file=sys.stderr)
"""


@pytest.mark.parametrize("wanted", [False, True])
async def test_without_the_packages_everything_works(database: ConnectionOptions, tmp_path: Path, wanted: bool) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,x\n2,y\n", encoding="utf-8")
    configuration = "sources:\n  - name: a\n    type: csv\n    path: a.csv\n    key: id\n    map: {title: title}\n"
    (tmp_path / "kasparro.yaml").write_text(configuration, encoding="utf-8")
    env = environment(
        DATABASE_URL=url_of(database),
        KASPARRO_HOME=str(tmp_path / "home"),
        KASPARRO_CONFIG=str(tmp_path / "kasparro.yaml"),
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} if wanted else {}),
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT, env=env, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    ended = await finish(process)
    assert ended.exit_code == 0, ended.stderr
    *lines, imported = ended.stderr.splitlines()
    assert imported == "[]"
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert events == [*(["tracing.not_installed"] if wanted else []), "run.started", "run.finished"]
