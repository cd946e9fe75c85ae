"""Cases of what a history is made of: runs that died, parts of passes, refreshes, operations, gaps, few runs."""

from dataclasses import replace
from datetime import timedelta

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case, at_end
from tests.unit.anomalies.making import (
    DAY,
    HOUR,
    MONDAY,
    about,
    at_place,
    changed,
    ended,
    later,
    of_counts,
    scaled,
    series,
    without,
)


def with_states(state: str, *places: int, share: float = 0.4) -> list[RunFacts]:
    """Thirty days, of which those did not come to their end."""
    runs = series(30, about(6_000), every=HOUR, seed=21)
    return [ended(run, state, share=share) if place - 30 in places else run for place, run in enumerate(runs)]


def in_two_parts(first: float, second: float, *, state: str = "interrupted") -> list[RunFacts]:
    """Thirty runs and a pass that two runs read."""
    runs = series(31, about(6_000), every=HOUR, seed=22)
    part = replace(scaled(runs[-1], first), state=state)
    rest = later(scaled(runs[-1], second), timedelta(minutes=6))
    return [*runs[:-1], part, replace(rest, id=32, pass_id=31, resumes_run_id=31)]


def often_in_two_parts() -> list[RunFacts]:
    """Forty passes, each fourth of which was read by two runs."""
    found = list[RunFacts]()
    for run in series(40, about(6_000), every=HOUR, seed=30):
        first = replace(scaled(run, 0.7), state="interrupted", id=10 * run.id)
        rest = replace(scaled(run, 0.3), id=10 * run.id + 1, resumes_run_id=10 * run.id)
        found.extend([replace(run, id=10 * run.id)] if run.id % 4 else [first, rest])
    return found


def after_first_load(count: int) -> list[RunFacts]:
    """A first load, and then what is new each hour."""
    first = of_counts(1, MONDAY - DAY, 1_000_000, seconds=300, full=True)
    return [first, *(replace(run, id=run.id + 1, pass_id=run.id + 1) for run in series(count, about(800), every=HOUR))]


def with_operation(name: str, fetched: int) -> list[RunFacts]:
    """Runs, among which are operations on the same source."""
    runs = series(40, about(800), every=HOUR, seed=23)
    return [replace(scaled(run, fetched / 800), operation=name) if run.id % 3 == 0 else run for run in runs]


def refreshed(*places: int) -> list[RunFacts]:
    """Forty runs of what is new, and some that read all."""
    runs = series(40, about(500), every=HOUR, seed=24)
    return [
        of_counts(run.id, run.started_at, 50_000, unchanged=49_500, seconds=40, full=True)
        if place - 40 in places
        else run
        for place, run in enumerate(runs)
    ]


def away_for_a_day() -> list[RunFacts]:
    """Nothing for a day, and then all that came meanwhile."""
    runs = series(60, about(500, 0.1), every=HOUR, seed=25)
    return [*runs[:-1], later(scaled(runs[-1], 22), DAY)]


def by_hand_right_after() -> list[RunFacts]:
    """A run one minute after another: next to nothing is new."""
    runs = series(60, about(500, 0.1), every=HOUR, seed=26)
    return [*runs, of_counts(61, runs[-1].finished_at + timedelta(minutes=1), 9)]


def at_once_again() -> list[RunFacts]:
    """A run seconds after that of the day: nothing is new."""
    runs = series(40, about(4_000), seed=35)
    return [*runs, of_counts(41, runs[-1].finished_at + timedelta(seconds=2), 0)]


def mapped_anew() -> list[RunFacts]:
    """A full reading after a change of the mapping: every record is made anew."""
    runs = series(30, about(9_000, 0.01), unchanged=0.97, seed=27)
    return changed(runs, -1, fetched=9_000, unchanged=0, updated=8_950, inserted=50, mapping_version=2)


def one_of_seven() -> list[RunFacts]:
    """Seven runs, and an eighth that has nothing."""
    runs = series(8, about(5_000), seed=28)
    return at_place(runs, -1, scaled(runs[-1], 0.0))


def seven_good_of_many() -> list[RunFacts]:
    """Twenty runs, of which seven came to their end; then one with nothing."""
    runs = [ended(run, "failed") if run.id % 3 else run for run in series(23, about(5_000), every=HOUR, seed=29)]
    return [*runs, of_counts(24, runs[-1].started_at + HOUR, 0)]


CASES = [
    Case("seven runs are too few", one_of_seven()),
    Case("seven runs that count are too few, however many failed", seven_good_of_many()),
    Case("the first run of all", series(1, about(5_000))),
    Case("failed runs do not count", with_states("failed", -3, -7, -8, -15)),
    Case("cancelled runs do not count", with_states("cancelled", -2, -5, -9, -12, -20)),
    Case("interrupted runs do not count", with_states("interrupted", -3, -7, -12, -20, share=0.01)),
    Case(
        "three interrupted runs are three hours without a success",
        with_states("interrupted", -2, -3, -4),
        at_end("freshness"),
    ),
    Case("failed and cancelled runs are not judged", with_states("failed", -1, share=0.01)),
    Case(
        "a drop among failed runs",
        at_place(with_states("failed", -3, -7, -8, -15), -1, scaled(with_states("failed")[-1], 0.1)),
        at_end("volume"),
    ),
    Case("a pass in two parts is one reading", in_two_parts(0.6, 0.4)),
    Case("a pass that was cancelled and went on", in_two_parts(0.2, 0.8, state="cancelled")),
    Case("a pass in two parts that lacks most", in_two_parts(0.05, 0.04), at_end("volume")),
    Case("parts of passes in the history", often_in_two_parts(), judged=10),
    Case("a first load is not the norm", after_first_load(20), judged=10),
    Case(
        "a first load hides no drop",
        at_place(after_first_load(20), -1, scaled(after_first_load(20)[-1], 0.02)),
        at_end("volume"),
    ),
    Case("operations are no part of the history", with_operation("replay", 90_000), judged=20),
    Case(
        "operations are not judged",
        at_place(
            with_operation("requeue", 5),
            -1,
            replace(with_operation("requeue", 5)[-1], operation="backfill", fetched=99_000),
        ),
    ),
    Case("a refresh among runs of what is new", refreshed(-1)),
    Case("runs of what is new after a refresh", refreshed(-9, -5, -2), judged=8),
    Case("a day's records after a day without a run", away_for_a_day(), at_end("freshness")),
    Case("a run by hand right after another", by_hand_right_after()),
    Case("nothing new two seconds after a daily run", at_once_again()),
    Case("a new mapping changes every record", mapped_anew()),
    Case("a missing day", without(series(30, about(900), seed=31), -2), at_end("freshness"), at_end("volume")),
    Case(
        "three missing hours",
        without(series(90, about(900), every=HOUR, seed=32), -2, -3, -4),
        at_end("freshness"),
        at_end("volume"),
    ),
    Case(
        "a missing day after eight", without(series(11, about(900), seed=33), -2), at_end("freshness"), at_end("volume")
    ),
    Case(
        "one run left out of those of each quarter of an hour",
        without(series(90, about(900), every=timedelta(minutes=15), seed=34), -2),
        frozenset(),
        at_end("volume", "freshness"),
    ),
]
