"""What a run has rejected, by code and field, for those who look at the run."""

from dataclasses import dataclass
from typing import Final

from kasparro.core.database import Connection

MOST_GROUPS: Final = 50
_GROUPS: Final = """
with own as materialized (
    select id, code, field, raw_id, times, state from rejected_records
    where source_id = $1::integer and run_id = $2::bigint
), grouped as (
    select code, field, count(distinct raw_id) as payloads,
           count(distinct raw_id) filter (where state = 'open') as open,
           sum(times)::bigint as times, min(id) as example_id
    from own group by code, field order by payloads desc, code, field limit $3::integer
)
select g.code, g.field, g.payloads, g.open, g.times, r.id, r.record_key, r.locator, r.message, r.raw_id
from grouped g join rejected_records r on r.id = g.example_id order by g.payloads desc, g.code, g.field
"""


@dataclass(frozen=True, slots=True)
class RejectsOfKind:
    """Rejects of a run with one code, of one field, and the first of them. `times`: how often they were seen in all."""

    code: str
    field: str | None
    payloads: int
    open: int
    times: int
    id: int
    record_key: str | None
    locator: str
    message: str
    raw_id: int


async def of_run(connection: Connection, source_id: int, run_id: int) -> tuple[list[RejectsOfKind], bool]:
    """The rejects that the run was the last to see, the most frequent first: 50 kinds, and whether there are more."""
    rows = await connection.fetch(_GROUPS, source_id, run_id, MOST_GROUPS + 1)
    return [RejectsOfKind(**dict(row)) for row in rows[:MOST_GROUPS]], len(rows) > MOST_GROUPS
