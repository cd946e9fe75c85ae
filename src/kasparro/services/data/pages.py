"""Reading a page of records, and counting them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from kasparro.core.database import Connection
from kasparro.services.data.conditions import live_conditions
from kasparro.services.data.order import Key, Part, keys_of, order_by, parts_of
from kasparro.services.data.query import DataQuery, Total
from kasparro.services.data.statement import Parameters
from kasparro.services.data.written import cells_of, json_of

COUNTED_AT_MOST: Final = 10_000
"""Beyond so many, `estimated` leaves the rest to the planner."""
_FROM: Final = " from unified_data u"
_JOIN: Final = " join sources s on s.id = u.source_id"


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Live records as JSON texts, or as lists of cells; the position of the last one if more follow, else None."""

    records: list[Any]
    position: tuple[Any, ...] | None

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.position is not None


async def read_page(connection: Connection, query: DataQuery, source_ids: Sequence[int] | None) -> RecordPage:
    """The page that a query asks for; `source_ids` are those of `find_source_ids`."""
    if source_ids is not None and not source_ids:
        return RecordPage([], None)
    text, parameters = _page_statement(query, source_ids)
    rows = await connection.fetch(text, *parameters.values)
    position = tuple(rows[query.limit - 1])[1:] if len(rows) > query.limit else None
    return RecordPage([row[0] for row in rows[: query.limit]], position)


async def count_records(
    connection: Connection,
    query: DataQuery,
    source_ids: Sequence[int] | None,
    kind: Literal["exact", "planned", "estimated"],
) -> Total:
    """How many records satisfy the query's filters, wherever its page lies."""
    if source_ids is not None and not source_ids:
        return Total(0, "exact")
    parameters = Parameters()
    rows = f"select{_FROM} where {' and '.join(live_conditions(query.filters, query.search, source_ids, parameters))}"
    if kind == "planned":
        return Total(await _planned(connection, rows, parameters), "planned")
    limit = "" if kind == "exact" else f" limit {COUNTED_AT_MOST + 1}"
    counted: int = await connection.fetchval(f"select count(*) from ({rows}{limit}) counted", *parameters.values)  # noqa: S608
    if not limit or counted <= COUNTED_AT_MOST:
        return Total(counted, "exact")
    return Total(max(counted, await _planned(connection, rows, parameters)), "estimated")


async def _planned(connection: Connection, rows: str, parameters: Parameters) -> int:
    plan = await connection.fetchval(f"explain (format json) {rows}", *parameters.values)
    return int(json.loads(plan)[0]["Plan"]["Plan Rows"])


def _page_statement(query: DataQuery, source_ids: Sequence[int] | None) -> tuple[str, Parameters]:
    parameters = Parameters()
    limit = f"{parameters.add(query.limit + 1)}::bigint"
    conditions = live_conditions(query.filters, query.search, source_ids, parameters)
    keys = keys_of(query.sort, parameters)
    parts = parts_of(keys, query.position, parameters, skips=query.offset > 0)
    write = cells_of if query.cells else json_of
    shown = ", ".join([write(query.fields, parameters), *(f"({key.sql})::text" for key in keys)])
    reads = [_reading(part, conditions, keys) for part in parts]
    if len(reads) == 1:
        offset = f" offset {parameters.add(query.offset)}::bigint" if query.offset else ""
        found = f"select {shown} from ({reads[0]} limit {limit}{offset}) u"  # noqa: S608
    else:
        found = _two_parts(reads, shown, limit)
    return f"{found}{_JOIN} order by {order_by(keys)}", parameters


def _two_parts(reads: Sequence[str], shown: str, limit: str) -> str:
    """The second part is not even begun when the first fills the page: a limit of 0 runs nothing."""
    first = f"first as materialized ({reads[0]} limit {limit})"
    second = f"second as materialized ({reads[1]} limit {limit} - (select count(*) from first))"  # noqa: S608
    both = "select * from first union all select * from second"
    return f"with {first}, {second} select {shown} from ({both}) u"  # noqa: S608


def _reading(part: Part, conditions: Sequence[str], keys: Sequence[Key]) -> str:
    join = _JOIN if any(key.sql.startswith("s.") for key in keys) else ""
    wanted = " and ".join([*conditions, *([part.condition] if part.condition else [])])
    return f"select u.*{_FROM}{join} where {wanted} order by {part.order}"
