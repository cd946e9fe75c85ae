"""What a reading stands on. One that found its source as it was has seen nothing: what the source holds then is what
the last reading before it saw, and what requeues have loaded since.
"""

from dataclasses import dataclass
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.services import read_passes
from kasparro.services.read_passes import Reading

_LAST_READ: Final = """
with earlier as (
    select id, source_id, pass_id, operation, started_at, fetched, coalesce(coverage, '{}') as coverage
    from etl_runs
    where source_id = $1::integer and operation is null and pass_id is not null and pass_id <> $2::bigint
      and started_at < $3::timestamptz)
select source_id, pass_id, operation, exists (
           select from earlier later
           where later.started_at > read.started_at and later.pass_id <> read.pass_id
             and jsonb_path_exists(later.coverage, '$.* ? (@ == "window")')) as followed
from earlier read
where fetched > 0 or jsonb_path_exists(coverage, '$.* ? (@ == "full")')
order by started_at desc, id desc limit 1
"""
_REQUEUES: Final = """
select id from etl_runs
where source_id = $1::integer and operation = 'requeue' and started_at >= $2::timestamptz
  and finished_at <= $3::timestamptz
order by id
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """`own` is the reading that was asked for, `read` the one that saw what it stands on: the same where it saw
    something itself. `requeues` are the runs that have loaded rejects between the two. `as_it_was`: the source held
    what was read, and no less.
    """

    own: Reading
    read: Reading
    requeues: tuple[int, ...]
    as_it_was: bool

    @property
    def is_full(self) -> bool:
        """Whether all that the source had is known."""
        return self.as_it_was and self.read.is_full

    @property
    def run_ids(self) -> tuple[int, ...]:
        """The runs whose batches name its records."""
        return self.read.run_ids + self.requeues

    @property
    def is_own(self) -> bool:
        """Whether it saw something itself, or nothing was seen before it."""
        return self.own is self.read


async def of_reading(connection: Connection, reading: Reading) -> Standing:
    """What a reading stands on."""
    row = await _last_read(connection, reading) if reading.is_idle else None
    if row is None:
        return Standing(reading, reading, (), as_it_was=True)
    read = await read_passes.of_run(connection, dict(row))
    as_it_was = set(reading.coverage.values()) == {"none"} and not row["followed"]
    requeues = await connection.fetch(_REQUEUES, reading.source_id, read.finished_at, reading.finished_at)
    return Standing(reading, read, tuple(each["id"] for each in requeues), as_it_was)


async def _last_read(connection: Connection, reading: Reading) -> Any | None:
    return await connection.fetchrow(_LAST_READ, reading.source_id, reading.pass_id, reading.started_at)
