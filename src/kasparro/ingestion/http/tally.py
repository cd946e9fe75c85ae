"""What the HTTP client did for each source since it was last written to the database: requests, waits and retries."""

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kasparro.ingestion.http.reporting import Observation

REQUEST_BOUNDS: Final = ("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60")
"""Upper bounds of the histogram of requests, in seconds, as Prometheus writes them."""
Counts = dict[tuple[str, str], float]
"""By name and label of a counter."""


class Tally:
    """Counts for one source, until they are taken. Lives in one event loop."""

    def __init__(self) -> None:
        self._counts: Counts = defaultdict(float)

    def observe(self, seen: "Observation") -> None:
        """Count one request or retry."""
        if seen.kind == "retry":
            reason = f"status_{seen.status}" if seen.status is not None else str(seen.reason)
            self._counts["retries_total", reason] += 1
            return
        bound = next((bound for bound in REQUEST_BOUNDS if seen.seconds <= float(bound)), "+Inf")
        self._counts["http_client_requests_total", _status_class(seen)] += 1
        self._counts["http_client_request_duration_seconds_bucket", bound] += 1
        self._counts["http_client_request_duration_seconds_sum", ""] += seen.seconds
        self._counts["rate_limit_wait_seconds_total", ""] += seen.waited_seconds

    def take(self) -> Counts:
        """All there is; from now on it is the taker's."""
        taken, self._counts = self._counts, defaultdict(float)
        return taken

    def give_back(self, counts: Counts) -> None:
        """What could not be written is to be taken again."""
        for place, value in counts.items():
            self._counts[place] += value


class Tallies:
    """The tally of each source; `observe` is for `HttpClient`."""

    def __init__(self) -> None:
        self._tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def of(self, source: str) -> Tally:
        """The one of this source."""
        return self._tallies[source]

    def observe(self, seen: "Observation") -> None:
        """Count for the source that it is about."""
        self._tallies[seen.source].observe(seen)


def _status_class(seen: "Observation") -> str:
    if seen.status is not None:
        return f"{seen.status // 100}xx"
    return "cancelled" if seen.reason is None else "error"
