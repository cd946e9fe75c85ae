"""`kasparro run`, and the commands that tell of runs: documents, exit codes, signals, secrets."""

import asyncio
import contextlib
import re
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.services import locks
from tests.acceptance.kasparro_process import Ended, environment, finish, kasparro, start
from tests.fix_database import LOCK_WAITERS
from tests.recovery.facts import facts_of, url_of

MAP = "key: id, map: {title: name, value: price}"
COUNTERS = {"fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted"}


class Place:
    """A folder with a configuration, and the database that its sources are loaded into."""

    def __init__(self, folder: Path, options: ConnectionOptions) -> None:
        self.folder = folder
        self.env = environment(DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"))

    def configure(self, **sources: str) -> None:
        """Sources by name, each with the rest of its configuration."""
        lines = [f"  - {{name: {name}, type: csv, {rest}}}\n" for name, rest in sources.items()]
        (self.folder / "kasparro.yaml").write_text("sources:\n" + "".join(lines), encoding="utf-8")

    def write(self, name: str, *rows: str) -> None:
        text = "id,name,price\n" + "".join(f"{row}\n" for row in rows)
        (self.folder / name).write_text(text, encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)

    async def run(self, *arguments: str) -> Ended:
        return await self.kasparro("run", "--json", *arguments)


@pytest.fixture
def place(tmp_path: Path, database: ConnectionOptions) -> Place:
    """One good source, `items`: two rows."""
    made = Place(tmp_path, database)
    made.configure(items=f"path: items.csv, {MAP}")
    made.write("items.csv", "i1,one,1.50", "i2,two,2.50")
    return made


def error_of(ended: Ended) -> dict[str, Any]:
    """The error of a command that did not come to any result."""
    assert ended.stdout.strip(), ended.stderr
    return ended.document["error"]


async def test_run_prints_one_document(place: Place) -> None:
    ended = await place.run("--concurrency", "1")
    assert ended.exit_code == 0, ended.stderr
    assert set(ended.document) == {"data"}
    [run] = ended.document["data"]
    assert set(run) == {
        "source", "state", "run_id", "pass_id", "resumes_run_id", "started_at", "finished_at", "batches", "records",
        "earlier_runs", "raw_written", "gone", "snapshot", "quality", "anomalies", "digest", "error",
    }  # fmt: skip
    assert (run["source"], run["state"], run["error"], run["resumes_run_id"]) == ("items", "succeeded", None, None)
    assert run["records"] == {**dict.fromkeys(COUNTERS, 0), "fetched": 2, "inserted": 2}
    assert (run["batches"], run["raw_written"]) == (1, 2)
    assert re.fullmatch("[0-9a-f]{32}", run["digest"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", run["finished_at"])


async def test_runs_are_listed_and_shown(place: Place) -> None:
    first, second = [(await place.run()).document["data"][0] for _ in range(2)]
    everything = (await place.kasparro("runs", "list", "--json")).document["data"]
    assert [run["id"] for run in everything] == [second["run_id"], first["run_id"]]
    limited = (await place.kasparro("runs", "list", "--source", "items", "--limit", "1", "--json")).document["data"]
    assert [run["id"] for run in limited] == [second["run_id"]]

    shown = (await place.kasparro("runs", "show", str(first["run_id"]), "--json")).document
    assert (shown["source"], shown["state"], shown["inserted"], shown["digest"]) == (
        "items", "succeeded", 2, first["digest"],
    )  # fmt: skip
    assert shown["plan"]["partitions"] == ["items.csv"]
    assert shown["checkpoint_before"] == {}
    assert (await place.kasparro("runs", "show", "999")).exit_code == 2


async def test_sources_tell_of_those_configured_and_those_remembered(place: Place) -> None:
    await place.run()
    place.configure(later=f"path: items.csv, {MAP}")
    rows = (await place.kasparro("sources", "--json")).document["data"]
    assert [(row["name"], row["configured"], row["state"]) for row in rows] == [
        ("items", False, "succeeded"), ("later", True, "never run"),
    ]  # fmt: skip


async def test_state_is_shown_set_and_cleared(place: Place, connection: Connection) -> None:
    await place.run("--concurrency", "2")
    rows = (await place.kasparro("state", "show", "items", "--json")).document["data"]
    assert [(row["partition"], row["lane"]) for row in rows] == [("items.csv", lane) for lane in (-1, 0, 1)]
    assert (rows[0]["coverage"], rows[1]["ordinal"], rows[2]["ordinal"]) == ("full", 2, 2)

    again = await place.run()
    assert again.document["data"][0]["records"]["fetched"] == 0
    cleared = await place.kasparro("state", "clear", "items", "--json")
    assert [row["lane"] for row in cleared.document["removed"]] == [-1, 0, 1]
    reread = (await place.run()).document["data"][0]
    assert (reread["records"]["fetched"], reread["records"]["unchanged"], reread["raw_written"]) == (2, 2, 0)

    settled = (await place.kasparro("state", "show", "items", "--json")).document["data"][0]["cursor"]
    put = await place.kasparro("state", "set", "items", "--partition", "items.csv", '{"by": "hand"}', "--json")
    assert put.exit_code == 0, put.stderr
    assert (put.document["before"], put.document["after"]) == (settled, {"by": "hand"})
    assert await connection.fetchval("select cursor->>'by' from etl_checkpoints where lane = -1") == "hand"


async def test_state_of_what_does_not_exist_is_a_usage_error(place: Place) -> None:
    await place.run()
    expected = {
        ("set", "items", "--partition", "items.csv", "[1]"): "expected a JSON object",
        ("set", "items", "--partition", "items.csv", '{"a": "\\u0000"}'): "cannot hold this JSON: NUL character",
        ("set", "items", "--partition", "items.csv", '{"a": "\\ud83d"}'): "cannot hold this JSON: lone surrogate",
        ("set", "items", "--partition", "items.csv", '{"a": NaN}'): "NaN is no JSON number",
        ("set", "items", "--partition", "items.csv", '{"a": 1e999}'): "not JSON: ",
        ("set", "items", "--partition", "items.csv", "[" * 100_000): "nested too deep",
        ("show", "it\udce9ms"): "not UTF-8 text: it\\xe9ms",
        ("set", "items", "{}"): "--partition is missing",
        ("set", "items", "--partition", "other.csv", "{}"): "no partition other.csv",
        ("show", "itms"): "itms",
    }
    for arguments, said in expected.items():
        ended = await place.kasparro("state", *arguments)
        assert (arguments, ended.exit_code, said in ended.stderr) == (arguments, 2, True)
        assert ended.stdout == ""


async def test_digest_is_verified_against_every_record(place: Place, connection: Connection) -> None:
    run = (await place.run()).document["data"][0]
    good = await place.kasparro("state", "digest", "items", "--verify", "--json")
    assert good.exit_code == 0
    assert good.document["data"] == [
        {"source": "items", "digest": run["digest"], "recomputed": run["digest"], "verified": True}
    ]
    await connection.execute("update unified_data set record_hash = '\\x00' where record_key = 'i1'")
    assert (await place.kasparro("state", "digest")).exit_code == 0
    bad = await place.kasparro("state", "digest", "--verify", "--json")
    assert bad.exit_code == 9
    [row] = bad.document["data"]
    assert (row["digest"], row["verified"]) == (run["digest"], False)
    assert row["recomputed"] != row["digest"]


async def test_bad_configuration_is_3_and_names_the_place(place: Place) -> None:
    place.configure(items=f"pth: items.csv, {MAP}")
    ended = await place.run()
    assert ended.exit_code == 3
    assert "kasparro.yaml:2" in ended.stderr + ended.stdout
    (place.folder / "kasparro.yaml").unlink()
    assert (await place.run()).exit_code == 3


async def test_unknown_source_is_2_with_the_nearest_name(place: Place) -> None:
    ended = await place.kasparro("run", "itms")
    assert ended.exit_code == 2
    assert "itms" in ended.stderr
    assert 'did you mean "items"?' in ended.stderr


async def test_missing_file_is_4_and_recorded(place: Place) -> None:
    (place.folder / "items.csv").unlink()
    ended = await place.run()
    assert ended.exit_code == 4
    [run] = ended.document["data"]
    assert (run["state"], run["error"]["code"]) == ("failed", "source")
    assert "items.csv" in run["error"]["message"]
    [listed] = (await place.kasparro("runs", "list", "--json")).document["data"]
    assert (listed["state"], listed["error_message"]) == ("failed", run["error"]["message"])


async def test_unreachable_database_is_5(place: Place) -> None:
    place.env["DATABASE_URL"] = f"postgresql://u:hunter2-secret@/db?host={place.folder}/nowhere"
    for arguments in (("run", "--json"), ("runs", "list"), ("migrate",)):
        ended = await place.kasparro(*arguments)
        assert (arguments, ended.exit_code) == (arguments, 5)
        assert "nowhere" in ended.stderr
        assert "hunter2" not in ended.stderr + ended.stdout


async def test_wrong_password_is_5_and_not_shown(place: Place, database: ConnectionOptions) -> None:
    wrong = f"hunter2-{secrets.token_hex(4)}"
    url = url_of(database)
    place.env["DATABASE_URL"] = re.sub(r"//([^:]+):[^@]*@", rf"//\1:{wrong}@", url)
    ended = await place.run()
    assert ended.exit_code == 5
    assert "password" in ended.stderr + ended.stdout
    assert wrong not in ended.stderr + ended.stdout


async def test_pending_migrations_are_5(place: Place, empty_database: ConnectionOptions) -> None:
    place.env["DATABASE_URL"] = url_of(empty_database)
    ended = await place.kasparro("run")
    assert (ended.exit_code, "run `kasparro migrate`" in ended.stderr) == (5, True)


async def test_rejects_are_6_only_with_strict(place: Place) -> None:
    place.write("items.csv", "i1,one,1.50", "i2,two,not a price")
    lenient = await place.run()
    assert (lenient.exit_code, lenient.document["data"][0]["state"]) == (0, "partial")
    place.write("items.csv", "i1,one,9.99", "i2,two,not a price")
    strict = await place.run("--strict")
    assert (strict.exit_code, strict.document["data"][0]["records"]["rejected"]) == (6, 1)


async def test_systemic_rejects_are_7_and_nothing_is_written(place: Place, connection: Connection) -> None:
    place.write("items.csv", *[f"i{n},name,bad" for n in range(30)])
    ended = await place.run()
    [run] = ended.document["data"]
    assert (ended.exit_code, run["state"], run["error"]["code"]) == (7, "systemic", "systemic")
    assert "30 x value: invalid_decimal" in run["error"]["message"]
    assert await connection.fetchval("select count(*) from raw_csv_data") == 0


async def test_held_source_is_8_and_the_others_go_on(place: Place, connection: Connection) -> None:
    place.configure(items=f"path: items.csv, {MAP}", free=f"path: items.csv, {MAP}")
    await place.run("items")
    source_id = await connection.fetchval("select id from sources where name = 'items'")
    assert await locks.try_lock(connection, source_id)
    ended = await place.run()
    await locks.unlock(connection, source_id)
    held, free = ended.document["data"]
    assert ended.exit_code == 8
    assert (held["state"], held["error"]["code"], held["run_id"]) == ("failed", "run_conflict", None)
    assert free["state"] == "succeeded"


async def test_of_several_sources_the_gravest_exit_code_counts(place: Place) -> None:
    place.write("bad.csv", *[f"i{n},name,bad" for n in range(30)])
    place.write("partial.csv", "i1,one,1", "i2,two,bad")
    place.configure(
        partial=f"path: partial.csv, {MAP}",
        missing=f"path: missing.csv, {MAP}",
        good=f"path: items.csv, {MAP}",
        bad=f"path: bad.csv, {MAP}",
    )
    ended = await place.run("--strict")
    assert ended.exit_code == 7
    states = {run["source"]: run["state"] for run in ended.document["data"]}
    assert states == {"partial": "partial", "missing": "failed", "good": "succeeded", "bad": "systemic"}
    assert (await place.run("--strict", "partial", "missing")).exit_code == 4


async def first_batch(process: asyncio.subprocess.Process, connection: Connection) -> None:
    """Return when the command has committed a batch; fail if it ends before."""
    while not await connection.fetchval("select exists(select from etl_run_batches)"):
        assert process.returncode is None, await finish(process)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_signal_ends_a_run_after_the_batch_in_hand(
    place: Place, connection: Connection, number: signal.Signals, exit_code: int
) -> None:
    """The batch in hand waits for a row lock of this test's until the signal has been sent."""
    place.env["KASPARRO_BATCH_RECORDS"] = "10"
    place.write("items.csv", *[f"i{n},item {n},{n}.25" for n in range(3000)])
    place.configure(items=f"path: items.csv, {MAP}", whole=f"path: items.csv, {MAP}")
    process = await start("-m", "kasparro", "run", "items", "--json", env=place.env, cwd=place.folder)
    await first_batch(process, connection)
    async with connection.transaction():
        await connection.execute("lock table etl_run_batches in access exclusive mode")
        process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await process.wait()
        assert process.returncode is None, "it waits for the batch in hand"
    ended = await finish(process)
    assert ended.exit_code == exit_code, ended.stderr
    [run] = ended.document["data"]
    assert (run["state"], run["error"]["code"]) == ("cancelled", "stopped")
    assert 0 < run["records"]["fetched"] < 3000
    assert run["records"]["fetched"] % 10 == 0
    assert await connection.fetchval("select count(*) from unified_data") == run["records"]["inserted"]

    place.env["KASPARRO_BATCH_RECORDS"] = "20000"
    rest = (await place.run("items")).document["data"][0]
    assert (rest["state"], rest["resumes_run_id"], rest["pass_id"]) == ("succeeded", run["run_id"], run["pass_id"])
    assert rest["records"]["fetched"] + run["records"]["fetched"] == 3000
    await place.run("whole")
    assert await facts_of(connection, "items") == await facts_of(connection, "whole")


async def test_sources_after_a_signal_are_not_begun(place: Place, connection: Connection) -> None:
    place.env["KASPARRO_BATCH_RECORDS"] = "10"
    place.write("items.csv", *[f"i{n},item {n},{n}.25" for n in range(3000)])
    place.configure(items=f"path: items.csv, {MAP}", later=f"path: items.csv, {MAP}")
    process = await start("-m", "kasparro", "run", "--json", env=place.env, cwd=place.folder)
    await first_batch(process, connection)
    process.send_signal(signal.SIGTERM)
    ended = await finish(process)
    assert (ended.exit_code, [run["source"] for run in ended.document["data"]]) == (143, ["items"])


async def test_secrets_never_show(place: Place, database: ConnectionOptions) -> None:
    """The password of DATABASE_URL; and a configured secret, here in a path, so that every message has it."""
    assert database.password is not None
    password, folder = database.password.get_secret_value(), f"hunter2{secrets.token_hex(8)}"
    place.env |= {"FOLDER_SECRET": folder, "LOG_LEVEL": "DEBUG"}
    place.configure(items=f'path: "${{FOLDER_SECRET}}/items.csv", {MAP}')
    outputs = await everything_said(place)
    for said in outputs:
        assert password not in said
        assert folder not in said
    assert any("***/items.csv" in said for said in outputs)
    for arguments in (("runs", "show", "1", "--json"), ("doctor",)):
        ended = await place.kasparro(*arguments)
        assert password not in ended.stdout + ended.stderr


async def everything_said(place: Place) -> list[str]:
    """What commands that read the configuration print: its file is missing, then bad, then loads."""
    ended = [await place.run(), await place.kasparro("run"), await place.kasparro("check", "--json")]
    folder = place.env["FOLDER_SECRET"]
    (place.folder / folder).mkdir()
    place.write(f"{folder}/items.csv", *[f"i{n},name,bad" for n in range(30)])
    ended.append(await place.run())
    place.write(f"{folder}/items.csv", "i1,one,1.50", "i2,two,bad")
    ended.append(await place.run())
    assert [one.exit_code for one in ended] == [4, 4, 0, 7, 0]
    for arguments in (("check",), ("config", "show"), ("sources",), ("sample", "items"), ("sample", "items", "--json")):
        ended.append(await place.kasparro(*arguments))
    assert [one.exit_code for one in ended[5:]] == [0] * 5
    return [one.stdout + one.stderr for one in ended]


async def test_second_signal_ends_a_run_at_once(place: Place, connection: Connection) -> None:
    """While the batch in hand can not be written; nothing of it is there, and the next run goes on."""
    place.env |= {"KASPARRO_BATCH_RECORDS": "10", "KASPARRO_STOP_GRACE_SECONDS": "600"}
    place.write("items.csv", *[f"i{n},item {n},{n}.25" for n in range(3000)])
    process = await start("-m", "kasparro", "run", "--json", env=place.env, cwd=place.folder)
    await first_batch(process, connection)
    async with connection.transaction():
        await connection.execute("lock table unified_data in access exclusive mode")
        while not await connection.fetchval(LOCK_WAITERS):
            assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
    assert ended.exit_code in {130, 143}, ended.stderr
    [run] = ended.document["data"]
    assert (run["state"], run["error"]["code"]) == ("cancelled", "stopped")
    assert await connection.fetchval("select count(*) from unified_data") == run["records"]["inserted"]
    place.env["KASPARRO_BATCH_RECORDS"] = "20000"
    rest = (await place.run()).document["data"][0]
    assert (rest["state"], rest["resumes_run_id"]) == ("succeeded", run["run_id"])
    assert rest["records"]["inserted"] + run["records"]["inserted"] == 3000


async def test_run_that_hangs_is_gone_when_the_grace_is_over(place: Place, connection: Connection) -> None:
    """One signal, and a database that lets nothing be written, not even that the run was stopped."""
    place.env |= {"KASPARRO_BATCH_RECORDS": "10", "KASPARRO_STOP_GRACE_SECONDS": "1"}
    place.write("items.csv", *[f"i{n},item {n},{n}.25" for n in range(3000)])
    process = await start("-m", "kasparro", "run", "--json", env=place.env, cwd=place.folder)
    await first_batch(process, connection)
    async with connection.transaction():
        await connection.execute("lock table etl_run_batches, etl_runs in access exclusive mode")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            ended = await finish(process)
    assert ended.exit_code == 143, ended.stderr
    place.env["KASPARRO_BATCH_RECORDS"] = "20000"
    rest = (await place.run()).document["data"][0]
    assert (rest["state"], rest["resumes_run_id"]) == ("succeeded", 1)
    assert await connection.fetchval("select sum(fetched)::int from etl_runs") == 3000


async def test_run_past_its_deadline_is_4_and_the_next_goes_on(place: Place) -> None:
    place.env |= {"KASPARRO_BATCH_RECORDS": "10", "KASPARRO_RUN_DEADLINE_SECONDS": "100000"}
    place.write("items.csv", *[f"i{n},item {n},{n}.25" for n in range(3000)])
    place.configure(items=f"path: items.csv, deadline: 0.2s, {MAP}")
    ended = await place.run()
    [run] = ended.document["data"]
    assert (ended.exit_code, run["state"], run["error"]["code"]) == (4, "failed", "deadline")
    assert "0.2 s" in run["error"]["message"]
    place.env["KASPARRO_BATCH_RECORDS"] = "20000"
    place.configure(items=f"path: items.csv, deadline: 1h, {MAP}")
    rest = (await place.run()).document["data"][0]
    assert (rest["state"], rest["resumes_run_id"]) == ("succeeded", run["run_id"]), (
        "a deadline is no other configuration"
    )
