"""What somebody is told of: kinds of alerts, what makes one fire, and who is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

AlertKind = Literal["failing", "systemic", "stale", "drift", "quality", "anomaly", "circuit"]
ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
TOLD_KINDS: Final[tuple[AlertKind, ...]] = tuple(kind for kind in ALERT_KINDS if kind != "circuit")
"""What a hook is told of that does not say: a circuit opens after the second failure, and `failing` came before."""
Transition = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about a source that is as it should not be. `label` tells two of the same kind apart."""

    kind: AlertKind
    label: str
    summary: str
    run_id: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Route:
    """A hook by its name, and the kinds of alerts of one source that it is told of."""

    hook: str
    kinds: frozenset[AlertKind]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """When alerts of one source begin and end, and who is told. Without routes they are kept all the same.

    `failing_after`: so many runs in a row have failed; `recovered_after_seconds`: how long an end must last before
    anybody is told of it.
    """

    routes: tuple[Route, ...] = ()
    failing_after: int = 1
    recovered_after_seconds: float = 600.0
