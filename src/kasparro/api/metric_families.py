"""The metrics of sources and runs: their names, what a scrape says of them, and where their values come from."""

from collections.abc import Callable, Mapping
from typing import Final

from kasparro.ingestion.http.tally import REQUEST_BOUNDS
from kasparro.services.metrics import SourceFacts
from kasparro.services.runs import DURATION_BOUNDS

PREFIX: Final = "kasparro_"
CIRCUIT: Final[Mapping[str, int]] = {"closed": 0, "half_open": 1, "open": 2}

COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "runs_total": ("Runs that have ended, by final state.", "status"),
    "runs_active": ("Runs that are queued or running now; one whose process died is neither.", "state"),
    "records_total": ("Records of runs that have ended, by outcome.", "outcome"),
    "stage_seconds_total": ("Seconds that runs that have ended spent in each stage, summed over lanes.", "stage"),
    "http_client_requests_total": (
        "Requests to upstreams, by class of the status; error: no whole answer came; cancelled: the run was stopped.",
        "status_class",
    ),
    "rate_limit_wait_seconds_total": (
        "Seconds that requests waited for their turn: rate limit, pauses servers asked for, others to the same host.",
        "",
    ),
    "retries_total": ("Requests that were tried again, by what went wrong.", "reason"),
    "rejected_open": ("Rejected records that are open now.", "code"),
    "drift_events_total": ("Findings of drift.", "kind"),
    "drift_open": ("Findings of drift that nobody has decided on yet.", "kind"),
    "quality_failing": ("Quality checks that failed when the source was last judged, by level.", "level"),
    "anomaly_score": ("How far the latest run is off its usual range, in spreads; there only where it is.", "measure"),
}
"""Metric to its help and the label that stands beside `source`; the names are those of the counters in the database."""

SOURCE_GAUGES: Final[Mapping[str, tuple[str, Callable[[SourceFacts], float | None]]]] = {
    "source_last_success_timestamp_seconds": (
        "When a run of the source last succeeded (Unix time); missing where none has.",
        lambda source: None if source.last_success_at is None else source.last_success_at.timestamp(),
    ),
    "checkpoint_lag_seconds": (
        "Seconds since the last reading that came to its end began (none: since the source became known).",
        lambda source: source.lag_seconds,
    ),
    "source_stale_after_seconds": (
        "Age of the last success from which on the source is stale by its schedule; missing where it has none.",
        lambda source: source.stale_after_seconds,
    ),
    "circuit_state": (
        "0: closed; 1: half open, a run is trying it again; 2: open, two runs or more in a row have failed.",
        lambda source: CIRCUIT[source.circuit_state],
    ),
}

TIMED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "run_duration_seconds": (
        "Seconds from claim to end of runs that ended by themselves (not interrupted).",
        DURATION_BOUNDS,
    ),
    "http_client_request_duration_seconds": (
        "Seconds from sending a request to an upstream to the end of its answer, each try by itself.",
        REQUEST_BOUNDS,
    ),
}
"""Histograms by source, with their bounds."""
