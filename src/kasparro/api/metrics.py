"""The text of `/metrics`: what this process has answered, and what runs in any process have counted.

https://prometheus.io/docs/instrumenting/exposition_formats/ and, for names of the server's own metric,
https://opentelemetry.io/docs/specs/semconv/http/http-metrics/.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from kasparro import __version__
from kasparro.services.metrics import RunFacts
from kasparro.services.runs import DURATION_BOUNDS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_REQUEST_LABELS: Final = ("http_request_method", "http_route", "http_response_status_code")
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class RequestMetrics:
    """How long this process took to answer; one for each application."""

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry(auto_describe=False)
        self._seconds = Histogram(
            "http_server_request_duration_seconds",
            "Seconds from a request to the end of its answer, in this process.",
            _REQUEST_LABELS,
            namespace="kasparro",
            registry=self._registry,
            buckets=_REQUEST_SECONDS,
        )

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """One request was answered. A method nobody knows is `_OTHER`, a path without a route has none: both are
        whatever a caller likes, and a label must not be."""
        known = method if method in _METHODS else "_OTHER"
        self._seconds.labels(known, route or "", str(status)).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """For the text."""
        yield from self._registry.collect()


def metrics_text(requests: RequestMetrics, facts: RunFacts | None) -> bytes:
    """The whole page; `facts` is None when the database cannot be asked, which the page then says."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(requests, facts))
    return generate_latest(registry)


class _Page:
    """What a scrape collects."""

    def __init__(self, requests: RequestMetrics, facts: RunFacts | None) -> None:
        self._requests = requests
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("kasparro_build_info", "Which version answers; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            "kasparro_database_up",
            "Whether the database answered this scrape, with this version's tables; at 0, what it counts is missing.",
            value=0 if self._facts is None else 1,
        )
        yield from self._requests.collect()
        if self._facts is not None:
            yield from _run_metrics(self._facts)


def _run_metrics(facts: RunFacts) -> Iterator[Metric]:
    runs = CounterMetricFamily("kasparro_runs", "Runs that have ended, by final state.", labels=["source", "status"])
    for counter in facts.of("runs_total"):
        runs.add_metric([counter.source, counter.label], counter.value)
    records = CounterMetricFamily(
        "kasparro_records", "Records of runs that have ended, by outcome.", labels=["source", "outcome"]
    )
    for counter in facts.of("records_total"):
        records.add_metric([counter.source, counter.label], counter.value)
    success = GaugeMetricFamily(
        "kasparro_source_last_success_timestamp_seconds",
        "When a run of the source last succeeded (Unix time); missing where none has.",
        labels=["source"],
    )
    for source, moment in facts.last_success_at.items():
        if moment is not None:
            success.add_metric([source], moment.timestamp())
    yield from (runs, records, success, _durations(facts))


def _durations(facts: RunFacts) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "kasparro_run_duration_seconds",
        "Seconds from claim to end of runs that ended by themselves (not interrupted).",
        labels=["source"],
    )
    sums = {counter.source: counter.value for counter in facts.of("run_duration_seconds_sum")}
    for source, counters in groupby(facts.of("run_duration_seconds_bucket"), key=lambda counter: counter.source):
        counted = {counter.label: counter.value for counter in counters}
        total, buckets = 0.0, list[tuple[str, float]]()
        for bound in (*DURATION_BOUNDS, "+Inf"):
            total += counted.get(bound, 0.0)
            buckets.append((bound, total))
        family.add_metric([source], buckets, sums.get(source, 0.0))
    return family
