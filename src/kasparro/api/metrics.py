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
from kasparro.api.metric_families import COUNTED, PREFIX, SOURCE_GAUGES, TIMED
from kasparro.services.metrics import RunFacts

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
        build = GaugeMetricFamily(f"{PREFIX}build_info", "Which version answers; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            f"{PREFIX}database_up",
            "Whether the database answered this scrape, with this version's tables; at 0, what it counts is missing.",
            value=0 if self._facts is None else 1,
        )
        yield from self._requests.collect()
        if self._facts is not None:
            yield from _run_metrics(self._facts)


def _run_metrics(facts: RunFacts) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}workers",
        "Schedulers that have asked for work within the last minute; at 0, nothing runs by schedule.",
        value=facts.workers,
    )
    yield from _counted(facts)
    yield from _source_gauges(facts)
    for name, (told, bounds) in TIMED.items():
        yield _histogram(facts, name, told, bounds)


def _counted(facts: RunFacts) -> Iterator[Metric]:
    """Counters and gauges of a source with one more label, or none."""
    for name, (told, label) in COUNTED.items():
        labels = ["source", *([label] if label else [])]
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        family = kind(f"{PREFIX}{name}", told, labels=labels)
        for counter in facts.of(name):
            family.add_metric([counter.source, counter.label][: len(labels)], counter.value)
        yield family


def _source_gauges(facts: RunFacts) -> Iterator[Metric]:
    """What there is one of for each source; missing where it is not known."""
    for name, (told, value_of) in SOURCE_GAUGES.items():
        family = GaugeMetricFamily(f"{PREFIX}{name}", told, labels=["source"])
        for source in facts.sources:
            value = value_of(source)
            if value is not None:
                family.add_metric([source.name], value)
        yield family


def _histogram(facts: RunFacts, name: str, told: str, bounds: tuple[str, ...]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"{PREFIX}{name}", told, labels=["source"])
    sums = {counter.source: counter.value for counter in facts.of(f"{name}_sum")}
    for source, counters in groupby(facts.of(f"{name}_bucket"), key=lambda counter: counter.source):
        counted = {counter.label: counter.value for counter in counters}
        total, buckets = 0.0, list[tuple[str, float]]()
        for bound in (*bounds, "+Inf"):
            total += counted.get(bound, 0.0)
            buckets.append((bound, total))
        family.add_metric([source], buckets, sums.get(source, 0.0))
    return family
