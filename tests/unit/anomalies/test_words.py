"""What is said of an anomaly, word by word; and of the demo's own days, nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kasparro.demo.replay import STARTS_AT, histories
from kasparro.demo.week import instant, load_week
from kasparro.services.anomalies.facts import RunFacts
from kasparro.services.anomalies.judge import judge
from kasparro.services.anomalies.rhythm import overdue
from kasparro.services.anomalies.wording import duration, percent, size, usual_range
from tests.unit.anomalies.making import DAY, HOUR, MONDAY, exactly, lasting, of_counts, series


def steady(count: int = 40) -> list[RunFacts]:
    return series(count, exactly(4_000), seed=9)


def said(history: list[RunFacts], run: RunFacts) -> list[str]:
    return [anomaly.message for anomaly in judge(history, run)]


def test_counts_are_told_with_what_was_usual() -> None:
    *history, last = steady()
    low = replace(last, fetched=12, inserted=12, updated=0, size_bytes=4_800)
    assert said(history, low) == ["fetched 12 records, 3,500 to 4,600 were usual: about 1/333"]
    none = replace(last, fetched=0, inserted=0, updated=0, size_bytes=0)
    assert said(history, none) == ["fetched no record, 3,500 to 4,600 were usual"]


def test_the_hour_is_told_where_it_matters() -> None:
    runs = series(
        241, lambda _, moment: 8_000 if moment.hour == 6 else 20, every=6 * HOUR, begin=MONDAY, seed=3
    )  # at 6, 12, 18 and 0 o'clock
    low = replace(runs[-1], fetched=20, inserted=20, updated=0, size_bytes=8_000)
    assert said(runs[:-1], low)[0] == "fetched 20 records, 7,000 to 9,200 were usual at this hour: about 1/400"


def test_shares_are_told_with_both_numbers() -> None:
    *history, last = steady()
    run = replace(last, fetched=4_000, rejected=100, inserted=3_000, updated=900, state="partial")
    assert said(history, run) == ["rejected 2.5 % of the records (100 of 4,000), up to 0.98 % was usual"]


def test_durations_bytes_and_repeats_are_told_in_their_units() -> None:
    *history, last = steady()
    assert said(history, lasting(last, 95)) == [
        "took 95 s, up to 5.8 s was usual for about as many records: about 30 times as long"
    ]
    assert said(history, replace(last, size_bytes=400_000)) == [
        "read 400 kB, 1.2 MB to 2 MB was usual for 4,000 records: about 1/4"
    ]
    varied = [of_counts(day, MONDAY + day * DAY, 3_000 + 7 * day) for day in range(1, 41)]
    equal = [of_counts(day, MONDAY + day * DAY, 3_290) for day in range(41, 47)]
    assert said([*varied, *equal[:-1]], equal[-1]) == [
        "fetched exactly 3,290 records 6 times in a row, never twice before"
    ]


def test_time_without_a_success_is_told_in_days_and_hours() -> None:
    successes = [MONDAY + day * DAY for day in range(20)]
    (late,) = overdue(successes, successes[-1] + timedelta(hours=55))
    assert late.message == "2 d 7 h have passed since the last success, up to 37 h was usual"
    assert overdue(successes, successes[-1] + timedelta(hours=30)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (usual_range(4_123.4, 4_589.9), "4,200 to 4,500"),
        (usual_range(-3.0, 29.8), "up to 29"),
        (usual_range(0.4, 1.2), "1"),
        (percent(1.0), "100 %"),
        (percent(0.02), "2 %"),
        (percent(0.0004), "0.04 %"),
        (size(9_120_000), "9.1 MB"),
        (size(812), "812 bytes"),
        (duration(0.3), "0.3 s"),
        (duration(720), "12 min"),
        (duration(12_000), "3 h 20 min"),
        (duration(47 * 3_600), "47 h"),
    ],
)
def test_numbers_are_rounded_for_people(text: str, expected: str) -> None:
    assert text == expected


def test_nothing_is_said_of_sixty_runs_of_the_demo() -> None:
    """What an hour of its week brings: new events, and events in their final version."""
    versions = [version.updated for each in histories(load_week()) for version in (each.first, each.final)]
    runs = list[RunFacts]()
    for number in range(60):
        until = STARTS_AT + (number + 1) * 60 * 60 * 1000
        new = sum(until - 60 * 60 * 1000 < updated <= until for updated in versions)
        runs.append(of_counts(number + 1, instant(until), new, seconds=0.3))
    assert sum(run.fetched for run in runs) > 400
    assert [words for place, run in enumerate(runs) for words in said(runs[:place], run)] == []
