"""Cases of all other measures: durations, sizes, rejects, unchanged records."""

from dataclasses import replace

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case, at_end
from tests.unit.anomalies.making import DAY, HOUR, MONDAY, about, at_place, changed, exactly, lasting, of_counts, series


def rejecting(share: float, usual: float = 0.0, *, count: int = 40, records: int = 1_000) -> list[RunFacts]:
    """Runs with a usual share of rejects, and a last one with another."""
    runs = series(count, about(records), rejected=usual, seed=51)
    return at_place(runs, -1, of_counts(count, runs[-1].started_at, records, rejected=round(records * share)))


def unchanging(share: float, usual: float, *, records: int = 4_000) -> list[RunFacts]:
    """Runs with a usual share of unchanged records, and a last one with another."""
    runs = series(40, about(records, 0.02), unchanged=usual, seed=52)
    last = of_counts(40, runs[-1].started_at, records, unchanged=round(records * share), seconds=runs[-1].seconds)
    return at_place(runs, -1, last)


def timed(seconds: float, *, records: int = 20_000, usual: float = 12.0, count: int = 40) -> list[RunFacts]:
    """Runs that take about as long, and a last one that takes another time."""
    runs = series(count, about(records), overhead_seconds=usual / 2, seconds_per_record=usual / 2 / records, seed=53)
    return at_place(runs, -1, lasting(runs[-1], seconds))


def sized(bytes_each: float, *, records: int = 3_000) -> list[RunFacts]:
    """Runs with records of 800 bytes, and a last one with others."""
    runs = series(40, about(records, 0.1), record_bytes=800, seed=54)
    return changed(runs, -1, size_bytes=round(runs[-1].fetched * bytes_each))


def large_and_long() -> list[RunFacts]:
    """A run of twenty times the records that takes twenty times as long."""
    runs = timed(12.0)
    return at_place(runs, -1, of_counts(40, runs[-1].started_at, 400_000, seconds=200))


def updating_all() -> list[RunFacts]:
    """As many records as ever, all of them changed: writing takes its time."""
    runs = series(40, exactly(50_000), unchanged=0.99, seconds_per_record=0.0001, seed=55)
    return at_place(runs, -1, of_counts(40, runs[-1].started_at, 50_000, seconds=60))


def without_sizes() -> list[RunFacts]:
    """Runs from before bytes were counted, and one after."""
    return [
        replace(run, size_bytes=0 if place < 39 else run.size_bytes) for place, run in enumerate(series(40, about(900)))
    ]


CASES = [
    Case("two percent rejected where none was", rejecting(0.02), at_end("reject_share")),
    Case("one percent rejected where none was", rejecting(0.01, records=5_000), at_end("reject_share")),
    Case("one record rejected where none was", rejecting(0.001)),
    Case("one record of thirty rejected where none was", rejecting(1 / 30, records=30)),
    Case("as many rejected as ever", rejecting(0.021, usual=0.02)),
    Case("half rejected where two percent were", rejecting(0.5, usual=0.02), at_end("reject_share"), at_end("written")),
    Case("none rejected where a third was", rejecting(0.0, usual=0.33), frozenset(), at_end("written")),
    Case("two percent rejected on the ninth run", rejecting(0.03, count=9, records=3_000), at_end("reject_share")),
    Case(
        "nothing changed, where a tenth always did", unchanging(1.0, 0.9), at_end("unchanged_share"), at_end("written")
    ),
    Case("nothing changed, where half always did", unchanging(1.0, 0.5), at_end("unchanged_share"), at_end("written")),
    Case(
        "everything changed, where a twentieth did",
        unchanging(0.0, 0.95),
        at_end("unchanged_share"),
        at_end("written", "duration"),
    ),
    Case("a few more changed than usual", unchanging(0.88, 0.9)),
    Case("five of eight changed, where none did", unchanging(0.4, 0.95, records=8), frozenset(), at_end("written")),
    Case("ten times as long", timed(120), at_end("duration")),
    Case("three times as long", timed(36), at_end("duration")),
    Case("a third longer", timed(16)),
    Case("a tenth of the time", timed(1.2)),
    Case("half a second instead of a quarter", timed(0.6, records=10, usual=0.3)),
    Case("a tiny run that hung for a minute", timed(60, records=10, usual=0.3), at_end("duration")),
    Case("more to do takes longer", large_and_long(), at_end("volume")),
    Case("all changed takes longer", updating_all(), at_end("unchanged_share"), at_end("written")),
    Case("records of a quarter of their size", sized(200), at_end("bytes")),
    Case("records of three times their size", sized(2_400), at_end("bytes")),
    Case("records somewhat larger", sized(850)),
    Case("bytes were not counted before", without_sizes()),
    Case(
        "a few small records among a few large ones",
        [of_counts(day + 1, MONDAY + day * DAY, 12, size_bytes=12 * (300 + 90 * (day % 6))) for day in range(40)],
    ),
    Case(
        "rejects that come and go",
        [of_counts(hour + 1, MONDAY + hour * HOUR, 500, rejected=30 if hour % 5 == 0 else 0) for hour in range(61)],
        judged=30,
    ),
]
