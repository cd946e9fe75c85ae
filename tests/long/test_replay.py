"""336,776 real rows replayed through a changed mapping: as the plan says, to the row, however often it is killed."""

import random
import signal
from pathlib import Path
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.services import digest
from tests.acceptance.kasparro_process import finish, kasparro, start
from tests.long.flights import CONFIGURATION, ROWS
from tests.long.test_flights import Flights, uninterrupted_digest, until_batches

KILLS = 3
CHANGED = (
    CONFIGURATION.replace("title: tailnum", "title: dest")
    .replace("value: distance", "value: arr_delay")
    .replace("unit: {value: mi}", "unit: {value: min}\n      entity_key: tailnum")
    .replace("dest: dest, ", "")
)
FIELDS = ("title", "value", "unit", "entity_key", "category", "occurred_at")
REMEMBER = """
create table before_replay as
select id, title, value, unit, entity_key, category, occurred_at, attributes, record_hash, raw_id, last_changed_at
from unified_data
"""


async def test_flights_replayed_as_planned_and_killed_in_the_middle(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    flights = Flights(tmp_path, database)
    await flights.run()
    await connection.execute(REMEMBER)
    (tmp_path / "kasparro.yaml").write_text(CHANGED, encoding="utf-8")
    planned = await kasparro("replay", "plan", "flights", "--json", "--quiet", env=flights.env, cwd=tmp_path)
    assert planned.exit_code == 9, planned.stderr
    counts = {name: number for name, number in planned.document["counts"].items() if number}
    assert counts == {"changed": ROWS}

    random_ = random.Random(20261122)
    for number in range(KILLS):
        process = await start("-m", "kasparro", "replay", "apply", "1", "--quiet", env=flights.env, cwd=tmp_path)
        loaded = await connection.fetchval("select count(*) from etl_run_batches where run_id = 1")
        await until_batches(connection, loaded + round(17 * (number + random_.random()) / KILLS), process)
        process.send_signal(signal.SIGKILL)
        assert (await finish(process)).exit_code == -signal.SIGKILL
    last = await kasparro("replay", "apply", "1", "--json", "--quiet", env=flights.env, cwd=tmp_path)
    assert last.exit_code == 0, last.stderr

    sums = await connection.fetchrow(
        "select sum(fetched)::int, sum(updated)::int, count(*)::int from etl_runs where operation = 'replay'"
    )
    assert sums is not None
    assert tuple(sums) == (ROWS, ROWS, KILLS + 1)
    await check_rows(connection, planned.document)
    async with connection.transaction():
        source_id = await connection.fetchval("select id from sources where name = 'flights'")
        recomputed = digest.as_text(await digest.recompute(connection, source_id))
    assert last.document["data"][0]["digest"] == recomputed
    assert recomputed == await uninterrupted_digest(flights)


async def check_rows(connection: Connection, planned: dict[str, Any]) -> None:
    """What differs from before is what the plan has said, field by field."""
    said = {each["field"]: each["records"] for each in planned["fields"]}
    for name in FIELDS:
        found = await connection.fetchval(
            f"select count(*) from unified_data u join before_replay b using (id) "
            f"where u.deleted_at is null and u.{name} is distinct from b.{name}"
        )
        assert (name, found) == (name, said.get(name, 0))
    row = await connection.fetchrow(
        "select count(*) filter (where u.deletion = 'replay')::int as removed, "
        "count(*) filter (where u.deleted_at is null and u.record_hash <> b.record_hash)::int as changed, "
        "count(*) filter (where u.raw_id <> b.raw_id)::int as moved, "
        "count(*) filter (where u.deleted_at is null and u.attributes ? 'dest')::int as dests, count(*)::int as all "
        "from unified_data u join before_replay b using (id)"
    )
    assert row is not None
    assert said["attributes.dest"] == planned["counts"]["changed"]
    assert dict(row) == {
        "removed": planned["counts"]["removed"], "changed": planned["counts"]["changed"], "moved": 0, "dests": 0,
        "all": ROWS,
    }  # fmt: skip
