"""Judges a run against its source's own history. Pure: the same runs give the same words."""

from collections.abc import Sequence

from kasparro.services.anomalies.counts import stuck, volume
from kasparro.services.anomalies.effort import sizes, slowness
from kasparro.services.anomalies.facts import SUCCESSES, Anomaly, RunFacts
from kasparro.services.anomalies.rhythm import freshness
from kasparro.services.anomalies.shares import rejects, unchanged
from kasparro.services.anomalies.work import works


def judge(history: Sequence[RunFacts], run: RunFacts) -> list[Anomaly]:
    """What is unusual about a run that came to its end, by the runs before it; nothing by fewer than eight.

    Runs that failed or were broken off are not judged, they say themselves that something is wrong; nor do they count,
    but for what a later run of their pass went on with. Readings of everything (the first one, and refreshes) are
    compared with each other only.
    """
    if run.operation is not None or run.state not in SUCCESSES:
        return []
    known = works([*history, run])
    if not known or known[-1].run.id != run.id:  # a part of a pass whose beginning is not known any more
        return []
    before, work = known[:-1], known[-1]
    alike = [each for each in before if each.run.full == work.run.full]
    return [
        *volume(alike, work), *stuck(alike, work), *unchanged(alike, work), *rejects(alike, work), *sizes(alike, work),
        *slowness(alike, work), *freshness(before, work),
    ]  # fmt: skip
