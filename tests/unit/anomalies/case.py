"""What a case of anomalies is: the runs of one source in their order, and what is to be said of which."""

from collections.abc import Sequence
from dataclasses import dataclass

from kasparro.services.anomalies.facts import RunFacts


@dataclass(frozen=True)
class Case:
    """Runs of a source, each judged against those before it.

    A finding is the place of a run, counted from the end (-1 is the last one), and a measure. What is in neither
    `found` nor `allowed` is a false finding. Only the last `judged` runs are judged: those before are history alone.
    """

    name: str
    runs: Sequence[RunFacts]
    found: frozenset[tuple[int, str]] = frozenset()
    """What must be found."""
    allowed: frozenset[tuple[int, str]] = frozenset()
    """What may be found and need not be: other sides of the same event."""
    judged: int = 1


def at_end(*measures: str) -> frozenset[tuple[int, str]]:
    """These measures of the last run."""
    return frozenset((-1, measure) for measure in measures)


def at(places: Sequence[int], *measures: str) -> frozenset[tuple[int, str]]:
    """These measures of the runs at these places, counted from the end."""
    return frozenset((place, measure) for place in places for measure in measures)
