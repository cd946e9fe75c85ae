"""What runs have counted, from small rows that only ever grow: true whichever process ran them, and cheap to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kasparro.core.database import Connection

_COUNTERS = """
select s.name as source, c.name, c.label, c.value
from metric_counters c join sources s on s.id = c.source_id
order by s.name, c.name, c.label
"""
_SUCCESSES = "select name, last_success_at from sources order by name"


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a source: `runs_total` by state, `records_total` by outcome, parts of `run_duration_seconds`."""

    source: str
    name: str
    label: str
    value: float


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All counters, and when each source last succeeded (None: never), by its name."""

    counters: tuple[Counter, ...]
    last_success_at: dict[str, datetime | None]

    def of(self, name: str) -> Iterable[Counter]:
        """The counters of one name."""
        return (counter for counter in self.counters if counter.name == name)


async def read_counters(connection: Connection) -> tuple[Counter, ...]:
    """All counters, by source, name and label."""
    return tuple(Counter(**dict(row)) for row in await connection.fetch(_COUNTERS))


async def read_facts(connection: Connection) -> RunFacts:
    """What `/metrics` says of runs. The schema must be current."""
    successes = {row["name"]: row["last_success_at"] for row in await connection.fetch(_SUCCESSES)}
    return RunFacts(await read_counters(connection), successes)
