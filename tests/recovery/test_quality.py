"""A process that dies in the final transaction of its pass, before or after its commit: the next run judges."""

from pathlib import Path
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import environment, finish, kasparro, start
from tests.integration.test_stopping import locked, until_somebody_waits
from tests.recovery.facts import facts_of, url_of

CONFIGURATION = """
sources:
  - name: items
    type: csv
    path: items.csv
    key: id
    map: {title: name, category: kind}
    checks:
      - {type: not_null, field: title}
      - {type: in, field: category, values: [x]}
      - {type: unique, field: title, level: warn}
"""
ROWS = "".join(f"i{number},item {number},{'y' if number == 3 else 'x'}\n" for number in range(10))


async def test_run_killed_in_its_final_transaction_is_judged_by_the_next(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    env = environment(DATABASE_URL=url_of(database), KASPARRO_HOME=str(tmp_path / "home"), KASPARRO_BATCH_RECORDS="4")
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "items.csv").write_text(f"id,name,kind\n{ROWS}", encoding="utf-8")

    async def verdicts() -> list[tuple[Any, ...]]:
        rows = await connection.fetch(
            "select run_id, position, passed, checked, failed from quality_results order by 1, 2"
        )
        return [tuple(row) for row in rows]

    async with locked(database, "alerts"):  # the results are written by then, and not committed
        process = await start("-m", "kasparro", "run", env=env, cwd=tmp_path)
        await until_somebody_waits(connection)
        process.kill()
        await finish(process)
    assert await verdicts() == []

    ended = await kasparro("run", "--json", env=env, cwd=tmp_path)
    (run,) = ended.document["data"]
    assert (ended.exit_code, run["run_id"], run["state"]) == (7, 2, "failed")
    assert (run["records"]["fetched"], run["error"]["code"]) == (0, "quality_check_failed")
    assert [each["passed"] for each in run["quality"]] == [True, False, True]
    assert await verdicts() == [(2, 0, True, 10, 0), (2, 1, False, 10, 1), (2, 2, True, 10, 0)]
    facts = await facts_of(connection, "items")
    assert (facts.fetched, facts.inserted_and_updated, facts.digest) == (10, 10, facts.recomputed)
    states = await connection.fetch("select state, error_code from etl_runs order by id")
    assert [tuple(row) for row in states] == [("interrupted", "interrupted"), ("failed", "quality_check_failed")]
    shown = await kasparro("runs", "show", "2", env=env, cwd=tmp_path)
    assert "fail    FAILED    category in x: not so for 1 of 10 records, such as i3 (y; from run 1)" in shown.stdout
    (tmp_path / "items.csv").write_text(f"id,name,kind\n{ROWS.replace('y', 'x')}", encoding="utf-8")
    mended = await kasparro("run", env=env, cwd=tmp_path)
    assert mended.exit_code == 0, mended.stderr
