"""Counts what is said of ordinary sources, where nothing should be: `python -m tests.unit.anomalies.ordinary`."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from kasparro.services.anomalies.facts import RunFacts
from tests.unit.anomalies.case import Case
from tests.unit.anomalies.cases_counts import by_day, working_days
from tests.unit.anomalies.cases_usual import bursts, feed, noisy, weekly_dump
from tests.unit.anomalies.making import HOUR, MONDAY, about, series
from tests.unit.anomalies.running import run

SEEDS = range(100, 106)
_MIDNIGHT = MONDAY.replace(hour=0)
_FIRST_JUDGED = 8
SOURCES: Mapping[str, Callable[[int], list[RunFacts]]] = {
    "daily": lambda seed: series(120, about(5_000), unchanged=0.3, rejected=0.01, seed=seed),
    "daily and small": lambda seed: series(120, about(25, 0.25), unchanged=0.3, rejected=0.01, seed=seed),
    "weekends": lambda seed: series(120, working_days, seed=seed),
    "by the hour": lambda seed: series(300, by_day, every=HOUR, begin=_MIDNIGHT, seed=seed),
    "every five minutes": lambda seed: series(300, by_day, every=timedelta(minutes=5), begin=_MIDNIGHT, seed=seed),
    "bursts": lambda seed: series(250, bursts, every=timedelta(minutes=10), seed=seed),
    "noisy": lambda seed: series(200, noisy, every=6 * HOUR, seed=seed),
    "three an hour": lambda seed: series(200, about(3, 0.7), every=HOUR, seed=seed),
    "a feed": lambda seed: series(200, feed, every=HOUR, seed=seed),
    "a weekly dump": lambda seed: series(140, weekly_dump, seed=seed),
}


def main() -> None:
    """Print how many runs were judged, and every anomaly that was found."""
    judged = 0
    for name, make in SOURCES.items():
        for seed in SEEDS:
            runs = make(seed)
            judged += len(runs) - _FIRST_JUDGED
            for place, anomaly in run(Case(name, runs, judged=len(runs) - _FIRST_JUDGED)).anomalies:
                print(f"{name}, seed {seed}, {runs[place].started_at:%a %H}h: {anomaly.message}")
    print(f"{judged:,} runs")


if __name__ == "__main__":
    main()
