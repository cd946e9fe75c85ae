"""Counter rows of a source: small, and they only ever grow. A scrape reads them, whichever process wrote them."""

from collections.abc import Sequence

from kasparro.core.database import Connection

_ADD = """
insert into metric_counters as known (name, source_id, label, value)
select name, $1::integer, label, value::double precision
from unnest($2::text[], $3::text[], $4::text[]) as counted(name, label, value)
order by name, label
on conflict (name, source_id, label) do update set value = known.value + excluded.value
"""

Counted = Sequence[tuple[str, str, float]]
"""Name, label and by how much it grew."""


async def add(connection: Connection, source_id: int, counted: Counted) -> None:
    """Add to counters of the source.

    Values go as text: for other arrays the driver asks each new connection's catalog about their type, for 10 ms.
    """
    if counted:
        names, labels, values = zip(*counted, strict=True)
        await connection.execute(_ADD, source_id, names, labels, [repr(float(value)) for value in values])
