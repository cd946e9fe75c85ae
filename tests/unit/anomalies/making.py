"""Makes runs of a source for cases: regular ones in a line, of which a case changes what it is about."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from kasparro.services.anomalies.facts import RunFacts

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)

Count = Callable[[Random, datetime], int]


def about(level: float, spread: float = 0.05) -> Count:
    """Near `level`, by a factor that varies by `spread` (the standard deviation of its logarithm)."""
    return lambda rng, _: round(level * math.exp(rng.gauss(0, spread)))


def exactly(level: int) -> Count:
    """Always the same."""
    return lambda _rng, _moment: level


def series(
    count: int,
    fetched: Count,
    *,
    every: timedelta = DAY,
    begin: datetime = MONDAY,
    seed: int = 1,
    unchanged: float = 0.0,
    rejected: float = 0.0,
    record_bytes: float = 400.0,
    seconds_per_record: float = 0.0005,
    overhead_seconds: float = 1.0,
) -> list[RunFacts]:
    """So many successful runs. Shares of records that are unchanged and rejected vary a little from run to run."""
    rng = Random(seed)
    runs = list[RunFacts]()
    for number in range(count):
        moment = begin + number * every + timedelta(seconds=rng.uniform(0, 20))
        total = fetched(rng, moment)
        runs.append(
            of_counts(
                number + 1,
                moment,
                total,
                unchanged=min(total, round(total * unchanged * math.exp(rng.gauss(0, 0.03)))),
                rejected=round(total * rejected * math.exp(rng.gauss(0, 0.2))),
                size_bytes=round(total * record_bytes * math.exp(rng.gauss(0, 0.02))),
                seconds=overhead_seconds * rng.uniform(0.8, 1.4) + total * seconds_per_record * rng.uniform(0.9, 1.2),
            )
        )
    return runs


def of_counts(
    number: int,
    moment: datetime,
    fetched: int,
    *,
    unchanged: int = 0,
    rejected: int = 0,
    size_bytes: int | None = None,
    seconds: float = 2.0,
    **more: Any,
) -> RunFacts:
    """A run; what is neither unchanged nor rejected is inserted, and updated to a quarter."""
    rejected = min(rejected, fetched - unchanged)
    written = fetched - unchanged - rejected
    facts: dict[str, Any] = {
        "id": number,
        "state": "partial" if rejected else "succeeded",
        "started_at": moment,
        "finished_at": moment + timedelta(seconds=seconds),
        "pass_id": number,
        "mapping_version": 1,
        "config_hash": "c1",
        "fetched": fetched,
        "inserted": written - written // 4,
        "updated": written // 4,
        "unchanged": unchanged,
        "rejected": rejected,
        "size_bytes": fetched * 400 if size_bytes is None else size_bytes,
        **more,
    }
    return RunFacts(**facts)


def scaled(run: RunFacts, factor: float, *, seconds: float | None = None) -> RunFacts:
    """The same run with so many times the records; it takes accordingly long unless told otherwise."""
    names = ("inserted", "updated", "unchanged", "rejected")
    counts = {name: round(getattr(run, name) * factor) for name in names}
    took = timedelta(seconds=(1 + (run.seconds - 1) * factor) if seconds is None else seconds)
    return replace(
        run, **counts, fetched=sum(counts.values()), size_bytes=round(run.size_bytes * factor),
        finished_at=run.started_at + took,
    )  # fmt: skip


def changed(runs: Sequence[RunFacts], place: int, **what: Any) -> list[RunFacts]:
    """The runs, of which the one at this place is another."""
    result = list(runs)
    result[place] = replace(result[place], **what)
    return result


def at_place(runs: Sequence[RunFacts], place: int, run: RunFacts) -> list[RunFacts]:
    """The runs with another one at this place."""
    result = list(runs)
    result[place] = run
    return result


def lasting(run: RunFacts, seconds: float) -> RunFacts:
    """The same run, which took so long."""
    return replace(run, finished_at=run.started_at + timedelta(seconds=seconds))


def later(run: RunFacts, delay: timedelta) -> RunFacts:
    """The same run at a later time."""
    return replace(run, started_at=run.started_at + delay, finished_at=run.finished_at + delay)


def without(runs: Sequence[RunFacts], *places: int) -> list[RunFacts]:
    """The runs but for those at these places, from the end or from the beginning."""
    gone = {place % len(runs) for place in places}
    return [run for place, run in enumerate(runs) if place not in gone]


def ended(run: RunFacts, state: str, *, share: float = 0.4) -> RunFacts:
    """A run that did not reach its end: it has read only a share of what it would have."""
    return replace(scaled(run, share), state=state)
