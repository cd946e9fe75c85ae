"""The command itself, killed around its first and its last commit; `test_kill_by_fork.py` has the other points."""

from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions, connect
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.fix_database import cloned
from tests.recovery.facts import Facts, facts_of, url_of

SIGKILLED = -9
BATCH_RECORDS = 5
CONFIGURATION = """
sources:
  - {name: whole, type: csv, path: items.csv, key: id, map: {title: name, value: price, category: kind}}
  - {name: killed, type: csv, path: items.csv, key: id, map: {title: name, value: price, category: kind}}
"""


def write_files(folder: Path) -> None:
    """23 rows: 20 items, one of them twice, one ragged row and one price that is no number."""
    rows = [f"i{n},item {n},{n}.50,x" for n in range(20)]
    rows[7] += ",too,many"
    rows.insert(12, "i3,item 3 again,3.75,y")
    rows.insert(18, "bad,item,not a number,x")
    rows.insert(19, "i4,item 4,4.50,x")
    (folder / "items.csv").write_text("id,name,price,kind\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")


class Place:
    """A folder with the input, and the database that it is loaded into."""

    def __init__(self, folder: Path, options: ConnectionOptions) -> None:
        write_files(folder)
        self.folder = folder
        self.env = environment(
            DATABASE_URL=url_of(options), KASPARRO_BATCH_RECORDS=str(BATCH_RECORDS), KASPARRO_CONCURRENCY="1"
        )

    async def run(self, *arguments: str) -> Ended:
        return await kasparro("run", "--json", *arguments, env=self.env, cwd=self.folder)


@pytest.fixture
def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    return Place(tmp_path, database)


@pytest.fixture(scope="module")
async def whole(
    tmp_path_factory: pytest.TempPathFactory,
    template_database: str,
    server: ConnectionOptions,
    administrator: Connection,
) -> Facts:
    """What an uninterrupted run comes to, in a database of its own."""
    async with cloned(template_database, server, administrator) as options:
        ended = await Place(tmp_path_factory.mktemp("whole"), options).run("whole")
        assert ended.exit_code == 0, ended.stderr
        connection = await connect(options, application_name="kasparro:test")
        facts = await facts_of(connection, "whole")
        await connection.close()
    assert (facts.fetched, facts.inserted_and_updated, facts.duplicate, facts.distinct_rejects) == (23, 19, 2, 2)
    return facts


@pytest.mark.parametrize("point", ["commit", "committed"])
@pytest.mark.parametrize("batch", [1, 5])
async def test_killed_run_is_finished_by_the_next(
    place: Place, connection: Connection, whole: Facts, point: str, batch: int
) -> None:
    killed = await place.run("killed", "--inject", f"{point}:kill:{batch}")
    assert killed.exit_code == SIGKILLED
    behind = await connection.fetchval(
        "select coalesce(sum(b.fetched), 0)::int from etl_run_batches b join etl_runs r "
        "on r.id = b.run_id where r.resumes_run_id is null and r.finished_at is null"
    )
    assert behind == min(23, BATCH_RECORDS * (batch - (point == "commit")))

    again = await place.run("killed")
    assert again.exit_code == 0, again.stderr
    facts = await facts_of(connection, "killed")
    assert facts == whole
    assert facts.digest == facts.recomputed


async def test_run_killed_again_and_again_ends_the_same(place: Place, connection: Connection, whole: Facts) -> None:
    for plan in ("committed:kill:1", "commit:kill:2", "committed:kill:2", "commit:kill:1"):
        assert (await place.run("killed", "--inject", plan)).exit_code == SIGKILLED
    assert (await place.run("killed")).exit_code == 0
    assert await facts_of(connection, "killed") == whole
    states = await connection.fetch(
        "select state from etl_runs r join sources s on s.id = r.source_id where name = 'killed' order by r.id"
    )
    assert [item["state"] for item in states] == ["interrupted"] * 4 + ["succeeded"]


async def test_fault_plans_are_refused_in_production_and_when_misspelt(place: Place) -> None:
    place.env["KASPARRO_ENVIRONMENT"] = "production"
    assert (await place.run("killed", "--inject", "commit:kill:1")).exit_code == 2
    del place.env["KASPARRO_ENVIRONMENT"]
    misspelt = await place.run("killed", "--inject", "comit:kill:1")
    assert (misspelt.exit_code, "POINT:KIND:N" in misspelt.stderr) == (2, True)
