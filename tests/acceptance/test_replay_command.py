"""`kasparro replay`: the plan as people and programs see it, what apply does, and their exit codes."""

from pathlib import Path

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.recovery.facts import url_of
from tests.replays import BEFORE, ROWS, Items

TIMED = BEFORE.replace("category: kind", "category: kind, occurred_at: {value: '2026-01-02T03:04:05Z'}")
CHANGED = """where: "kind == 'x'", """ + TIMED.replace("value: price", "value: stock").replace("05Z", "06Z")
TABLES = """\
items: plan 1, by mapping version 2

records     count   which
added           0   left out by an earlier replay, pass again
changed        10   become other records
unchanged       0   stay as they are
removed         7   are filtered now: left out
rejected        3   are rejected now: left out

fields that change
field         records   key   before                 after                  from
value              10   i1    1.50                   1                      items.csv:3
                        i2    2.50                   2                      items.csv:4
                        i5    5.50                   5                      items.csv:7
occurred_at        10   i1    2026-01-02T03:04:05Z   2026-01-02T03:04:06Z   items.csv:3
                        i2    2026-01-02T03:04:05Z   2026-01-02T03:04:06Z   items.csv:4
                        i5    2026-01-02T03:04:05Z   2026-01-02T03:04:06Z   items.csv:7

such as
which     key   from
removed   i0    items.csv:2
removed   i3    items.csv:5
removed   i6    items.csv:8

rejected now
code              field   records   key   from          message
invalid_decimal   value         3   i4    items.csv:6   "none" is not a decimal number

to do it: kasparro replay apply 1
"""


async def test_plan_is_shown_applied_and_then_outdated(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    items = Items(tmp_path, database, connection, TIMED)
    items.write(ROWS)
    await items.load()
    always = "name: items, type: csv, path: items.csv, key: id"
    (tmp_path / "kasparro.yaml").write_text(f"sources:\n  - {{{always}, {CHANGED}}}\n", encoding="utf-8")

    async def replay(*arguments: str) -> Ended:
        env = environment(DATABASE_URL=url_of(database), KASPARRO_CONFIG=str(tmp_path / "kasparro.yaml"))
        return await kasparro("replay", *arguments, env=env)

    planned = await replay("plan", "items")
    shown = [line for line in planned.stdout.splitlines() if not line.startswith("──")]
    assert (planned.exit_code, shown) == (9, TABLES.splitlines()), planned.stderr
    assert "items: 20 records, done in" in planned.stderr

    applied = await replay("apply", "1", "--json", "--quiet")
    assert applied.exit_code == 0, applied.stderr
    outcome = applied.document["data"][0]
    assert (outcome["state"], outcome["records"]["updated"], outcome["records"]["rejected"]) == ("partial", 10, 3)
    refused = await replay("apply", "1")
    assert refused.exit_code == 9
    assert "plan 1 cannot be applied: it is applied already" in refused.stderr

    again = await replay("plan", "items", "--json", "--since", "2026-01-01", "--run", "1")
    assert again.exit_code == 0, again.stderr
    assert (again.document["plan"], again.document["differs"], again.document["run_id"]) == (2, False, 1)
    assert again.document["counts"]["still_left_out"] == 10
    wrong = await replay("plan", "items", "--since", "yesterday")
    assert (wrong.exit_code, '--since: "yesterday" is no time' in wrong.stderr) == (2, True)
