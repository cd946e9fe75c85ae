"""What is to fail where: `POINT:KIND:N[@LANE]`, several separated by commas, by `--inject` or `KASPARRO_INJECT`.

Points of a reader's batch: `fetch` (before it is read), `transform` (before it is transformed). Points of a lane's
batch: `load` (before the first write), `checkpoint` (after the data), `commit` (just before it), `committed` (just
after). What the kinds do there stands in `strikes.py`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from kasparro.core.errors import UsageError

LANE_POINTS: Final = ("load", "checkpoint", "commit", "committed")
POINTS: Final = ("fetch", "transform", *LANE_POINTS)
KINDS: Final = ("error", "timeout", "kill", "disconnect")
_PLAN: Final = re.compile(r"(?P<point>[a-z]+):(?P<kind>[a-z]+):(?P<batch>[1-9][0-9]{0,8})(?:@(?P<lane>[0-9]{1,3}))?")
_SHAPE: Final = f"expected POINT:KIND:N[@LANE] with POINT one of {', '.join(POINTS)} and KIND one of {', '.join(KINDS)}"


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What happens where, once: at which batch of which lane, counted from 1 in one process.

    `fetch` and `transform` come before lanes; the final batch of a partition is one more to fetch. A batch that a lane
    writes once more is the same one; one that is read once more, after a lost connection, counts again.
    """

    point: str
    kind: str
    batch: int
    lane: int = 0

    def __str__(self) -> str:
        return f"{self.point}:{self.kind}:{self.batch}" + (f"@{self.lane}" if self.lane else "")


def parse_plans(text: str, *, environment: str) -> tuple[FaultPlan, ...]:
    """The plans that `text` describes. Raises UsageError, also for any plan in production."""
    refuse_in_production(environment)
    return tuple(map(_parse, text.split(",")))


def refuse_in_production(environment: str) -> None:
    """Raises UsageError where nothing may be made to fail on purpose."""
    if environment == "production":
        raise UsageError("fault injection is refused in production (KASPARRO_ENVIRONMENT=production)")


class Faults:
    """The plans of one run of one source. Each strikes once, also when the run starts again from the database."""

    def __init__(self, plans: Iterable[FaultPlan] = ()) -> None:
        self._pending = list(plans)
        self._reached: Counter[tuple[str, int]] = Counter()
        self._at: dict[int, object] = {}
        self.struck: list[FaultPlan] = []
        """What was carried out so far, in order; a kill leaves no time to be read."""
        self.sever_coordinator: Callable[[], None] = _no_coordinator
        """Ends the connection that holds the source's lock; set once there is one."""

    def __bool__(self) -> bool:
        """Whether there was any plan."""
        return bool(self._pending or self.struck)

    def reach(self, point: str, lane: int = 0) -> None:
        """The next batch comes to `fetch`, `transform` or `load`."""
        self._reached[point, lane] += 1

    def reach_load(self, lane: int, batch: object) -> None:
        """A lane comes to a batch; the one that it was at already is only written again."""
        if self._at.get(lane) != batch:
            self._at[lane] = batch
            self.reach("load", lane)

    def due(self, point: str, lane: int = 0) -> FaultPlan | None:
        """The plan to carry out now, taken from those that are left."""
        batch = self._reached["load" if point in LANE_POINTS else point, lane]
        for plan in self._pending:
            if (plan.point, plan.batch, plan.lane) == (point, batch, lane):
                self._pending.remove(plan)
                self.struck.append(plan)
                return plan
        return None


def _no_coordinator() -> None:
    raise AssertionError("the run has no coordinator yet")


def _parse(text: str) -> FaultPlan:
    match = _PLAN.fullmatch(text)
    if match is None or match["point"] not in POINTS or match["kind"] not in KINDS:
        raise UsageError(f"fault plan {text!r}: {_SHAPE}", hint="for example commit:kill:3")
    if match["lane"] is not None and match["point"] not in LANE_POINTS:
        raise UsageError(
            f"fault plan {text!r}: {match['point']} comes before lanes, so @{match['lane']} says nothing there",
            hint=f"for example {match['point']}:{match['kind']}:{match['batch']}",
        )
    return FaultPlan(match["point"], match["kind"], int(match["batch"]), int(match["lane"] or 0))
