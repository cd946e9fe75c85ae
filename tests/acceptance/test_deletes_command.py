"""Deletes by the real command: a process that is killed, a share that nobody confirmed, and what is shown of it."""

from pathlib import Path

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import environment, kasparro
from tests.recovery.facts import url_of

CONFIGURATION = """
sources:
  - {name: items, type: csv, path: items.csv, key: id, map: {title: name}, deletes: {snapshot: true}}
"""


async def test_gone_records_after_a_kill_and_only_with_a_confirmation(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    env = environment(
        DATABASE_URL=url_of(database), KASPARRO_HOME=str(tmp_path / "home"), KASPARRO_BATCH_RECORDS="10",
    )  # fmt: skip
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")

    def write(numbers: range) -> None:
        rows = "".join(f"i{number},item {number}\n" for number in numbers)
        (tmp_path / "items.csv").write_text(f"id,name\n{rows}", encoding="utf-8")

    async def live() -> int:
        return int(await connection.fetchval("select count(*) from unified_data where deleted_at is null"))

    write(range(50))
    assert (await kasparro("run", "--json", env=env, cwd=tmp_path)).exit_code == 0
    write(range(5, 50))
    killed = await kasparro("run", "--inject", "committed:kill:2", "--concurrency", "1", env=env, cwd=tmp_path)
    assert killed.exit_code == -9
    resumed = await kasparro("run", "--json", env=env, cwd=tmp_path)
    (run,) = resumed.document["data"]
    assert (resumed.exit_code, run["gone"], run["snapshot"], run["records"]["fetched"]) == (0, 5, "compared", 25)
    assert "items: 5 deleted, as a complete reading lacked them" in resumed.stderr

    write(range(5, 15))
    refused = await kasparro("run", env=env, cwd=tmp_path)
    assert (refused.exit_code, await live()) == (7, 45)
    assert "35 of 45 records are missing from a complete reading" in refused.stderr
    assert "kasparro run items --confirm" in refused.stderr
    unnamed = await kasparro("run", "--confirm", env=env, cwd=tmp_path)
    assert (unnamed.exit_code, await live()) == (2, 45)
    confirmed = await kasparro("run", "items", "--confirm", "--json", env=env, cwd=tmp_path)
    (run,) = confirmed.document["data"]
    assert (confirmed.exit_code, run["gone"], run["records"]["fetched"], await live()) == (0, 35, 0, 10)
    shown = await kasparro("runs", "show", str(run["run_id"]), "--json", env=env, cwd=tmp_path)
    assert (shown.document["gone"], shown.document["snapshot"]) == (35, "compared")
    verified = await kasparro("state", "digest", "items", "--verify", env=env, cwd=tmp_path)
    assert verified.exit_code == 0, verified.stderr
