"""What a scrape costs: none of its statements reads a table that grows with what is loaded."""

import json
from collections.abc import Iterator
from typing import Any, cast

from kasparro.core.database import Connection
from kasparro.services.health import read_schema_status
from kasparro.services.metrics import read_facts
from tests.test_api.operating import write_history

DATA = ("unified_data", "raw_", "rejected_records", "etl_run_batches", "kept_payloads")


class Recorded:
    """A connection that remembers what it is asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in {"fetch", "fetchrow", "fetchval", "execute"}:
            return method

        async def recorded(statement: str, *arguments: Any, **more: Any) -> Any:
            self.asked.append((statement, arguments))
            return await method(statement, *arguments, **more)

        return recorded


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def plans(connection: Connection, asked: list[tuple[str, tuple[Any, ...]]]) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    for statement, arguments in asked:
        text = await connection.fetchval(f"explain (format json) {statement}", *arguments)
        found += nodes(json.loads(text)[0]["Plan"])
    return found


async def test_a_scrape_reads_no_table_of_records_and_runs_by_index_alone(connection: Connection) -> None:
    await write_history(connection)
    await connection.execute("insert into etl_runs (source_id, trigger, state) select 1, 'api', 'running'")
    recorded = Recorded(connection)
    await read_schema_status(cast("Connection", recorded))
    await read_facts(cast("Connection", recorded))
    await connection.execute("set enable_seqscan = off")  # of these few rows the planner would read all at once
    found = await plans(connection, recorded.asked)
    read = {str(node["Relation Name"]) for node in found if "Relation Name" in node}
    assert {"metric_counters", "sources", "etl_runs"} <= read
    assert not {name for name in read if name.startswith(DATA)}
    assert not [node for node in found if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "etl_runs"]


async def test_a_scrape_asks_as_often_whatever_there_is(connection: Connection) -> None:
    await write_history(connection)
    few, many = Recorded(connection), Recorded(connection)
    await read_facts(cast("Connection", few))
    await connection.execute("""
        insert into sources (name, type, identity, config_hash)
        select 'more' || n, 'csv', '{}', '' from generate_series(1, 50) n
    """)
    await read_facts(cast("Connection", many))
    assert len(few.asked) == len(many.asked)
