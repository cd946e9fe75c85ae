"""Several commands at once in one home: who starts, who is seen, who is stopped, and what a stop does to runs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.cli.background import SCHEDULER, Background
from kasparro.core import embedded
from kasparro.core.database import Connection, connect
from tests.acceptance.kasparro_process import Ended, finish, kasparro, start
from tests.acceptance.test_up_and_down import Place

WAITING = "select count(*) from pg_locks where not granted and relation is not null"


@pytest.fixture
async def place(tmp_path: Path, home: Path, port: int) -> AsyncIterator[Place]:
    """Where there has been nothing yet."""
    place = Place(tmp_path, home, port)
    yield place
    await place.down("--force")


@pytest.fixture
async def made_place(tmp_path: Path, made_home: Path, port: int) -> AsyncIterator[Place]:
    """Where there is a database, without kasparro's tables, that does not run."""
    place = Place(tmp_path, made_home, port)
    yield place
    await place.down("--force")


async def connected(place: Place) -> Connection:
    return await connect(await embedded.ensure_running(place.home), application_name="kasparro:test")


async def started(place: Place, *arguments: str, says: bytes) -> asyncio.subprocess.Process:
    """A command in the foreground, once it has said something."""
    process = await start("-m", "kasparro", *arguments, env=place.env, cwd=place.folder)
    assert process.stdout is not None
    said = b""
    while says not in said:
        line = await process.stdout.readline()
        assert line, said.decode()
        said += line
    return process


async def running(place: Place) -> dict[str, int | None]:
    return dict((await place.kasparro("status", "--json")).document["processes"])


async def test_two_ups_at_once_both_succeed_over_one_server(place: Place) -> None:
    first, second = await asyncio.gather(*(place.kasparro("up", "--detach", "--json") for _ in range(2)))
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert first.document["url"] == second.document["url"] == f"http://127.0.0.1:{place.port}"
    assert place.get("/health")[0] == 200
    assert len(place.get("/data")[1]["data"]) == 2


async def test_a_server_started_by_hand_is_seen_alone_and_stopped(made_place: Place) -> None:
    await made_place.kasparro("migrate")
    process = await started(made_place, "serve", "--host", "localhost", says=b"server.started")
    status = (await made_place.kasparro("status", "--json")).document["server"]
    assert status == {"running": True, "url": f"http://127.0.0.1:{made_place.port}", "pid": process.pid}
    assert made_place.get("/health")[0] == 200
    second = await made_place.kasparro("serve", "--port", str(made_place.port + 1), "--json")
    assert (second.exit_code, second.document["error"]["code"]) == (8, "run_conflict")
    assert (await made_place.kasparro("up", "--detach", "--json")).document["url"] == status["url"]
    assert (await made_place.kasparro("down", "--json")).document["server_stopped"] is True
    assert (await finish(process)).exit_code == 143
    assert await running(made_place) == {"serve": None, "scheduler": None, "demo": None}


async def test_a_scheduler_and_a_demo_started_by_hand_are_seen_and_stopped(made_place: Place) -> None:
    await made_place.kasparro("migrate")
    made_place.env["API_KEY"] = "a-key-for-this-test"
    scheduler = await start("-m", "kasparro", "scheduler", env=made_place.env, cwd=made_place.folder)
    demo = await started(made_place, "demo", "--port", str(made_place.port + 1), says=b"server.started")
    while (seen := await running(made_place))["scheduler"] is None:
        assert scheduler.returncode is None
    assert seen == {"serve": None, "scheduler": scheduler.pid, "demo": demo.pid}
    down = (await made_place.kasparro("down", "--json")).document
    assert (down["scheduler_stopped"], down["demo_stopped"]) == (True, True)
    assert [(await finish(process)).exit_code for process in (scheduler, demo)] == [143, 143]


async def test_down_leaves_a_run_its_database_unless_forced(made_place: Place) -> None:
    """A lock keeps the run from writing for as long as this test likes."""
    await made_place.kasparro("migrate")
    connection = await connected(made_place)
    await connection.execute("begin; lock table etl_run_batches in share mode")
    process = await start("-m", "kasparro", "run", "--json", env=made_place.env, cwd=made_place.folder)
    while await connection.fetchval(WAITING) == 0:
        assert process.returncode is None
    refused = await made_place.kasparro("down", "--json")
    assert (refused.exit_code, refused.document["error"]["code"]) == (8, "run_conflict")
    assert "trades (run 1); nothing was stopped" in refused.document["error"]["message"]
    assert "--force" in refused.document["error"]["hint"]
    forced = await made_place.kasparro("down", "--force", "--json")
    assert (forced.exit_code, forced.document["database_stopped"]) == (0, True)
    run = await finish(process)
    assert run.exit_code == 5
    assert "was stopped on purpose" in run.stdout
    assert not embedded.status(made_place.home).running
    connection.terminate()
    again = await made_place.kasparro("run", "--json")
    assert (again.exit_code, again.document["data"][0]["records"]["inserted"]) == (0, 2)


async def test_the_home_stands_beside_the_configuration(place: Place, home: Path) -> None:
    """Whatever folder a command is given from: no second, empty database comes to be."""
    home.mkdir(mode=0o711)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (home / "kasparro.yaml").write_text((place.folder / "kasparro.yaml").read_text(), encoding="utf-8")
    (home / "trades.csv").write_text((place.folder / "trades.csv").read_text(), encoding="utf-8")
    env = {name: value for name, value in place.env.items() if name != "KASPARRO_HOME"}
    ended = await kasparro("status", "--config", "../kasparro.yaml", "--json", env=env, cwd=elsewhere)
    assert ended.exit_code == 0, ended.stderr
    doctor = await kasparro("doctor", "--config", "../kasparro.yaml", "--json", env=env, cwd=elsewhere)
    assert doctor.exit_code == 0
    assert list(elsewhere.iterdir()) == []
    migrated = await kasparro("migrate", "--config", "../kasparro.yaml", env=env, cwd=elsewhere)
    assert migrated.exit_code == 0, migrated.stderr
    assert list(elsewhere.iterdir()) == []
    assert embedded.status(home / ".kasparro").running
    down = await kasparro("down", "--config", "../kasparro.yaml", "--json", env=env, cwd=elsewhere)
    assert down.document["database_stopped"] is True


def clear_refusal(ended: Ended, *, words: str) -> None:
    assert ended.exit_code in {3, 5}, ended.stderr
    assert words in ended.stdout + ended.stderr
    for foreign in ("unexpected", "Traceback", "This is a bug"):
        assert foreign not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["status", "down", "doctor", "up", "run", "migrate", "serve", "scheduler"])
@pytest.mark.parametrize("below", ["", "/below"])
async def test_a_home_that_is_no_folder_is_refused_by_every_command(place: Place, command: str, below: str) -> None:
    env = {**place.env, "KASPARRO_HOME": f"/dev/null{below}"}
    clear_refusal(await kasparro(command, env=env, cwd=place.folder), words="/dev/null")


async def test_status_and_doctor_tell_newer_from_unknown(made_place: Place) -> None:
    await made_place.kasparro("migrate")
    connection = await connected(made_place)
    for revision, words in (("9999", "newer than this version"), ("0000", "unknown revision")):
        await connection.execute("update alembic_version set version_num = $1", revision)
        status = await made_place.kasparro("status", "--json")
        assert status.exit_code == 5
        assert words in status.document["database"]["state"]
        assert "migrate" not in status.document["database"]["state"]
        migrate = await made_place.kasparro("migrate", "--json")
        assert migrate.exit_code == 5
        doctor = await made_place.kasparro("doctor", "--json")
        assert doctor.exit_code == 5
        assert "migrate" not in next(item["todo"] for item in doctor.document["data"] if item["check"] == "migrations")
    await connection.close()


async def test_doctor_sends_whoever_lost_the_database_to_the_database(made_place: Place) -> None:
    await made_place.kasparro("up", "--detach")
    await asyncio.to_thread(Background(made_place.home, SCHEDULER).stop)
    await embedded.stop(made_place.home)
    doctor = await made_place.kasparro("doctor", "--json")
    todo = {item["check"]: item["todo"] for item in doctor.document["data"]}
    assert "`kasparro up` starts it" in todo["database"]
    assert "database" in todo["API server"]
    assert (await made_place.kasparro("up", "--detach")).exit_code == 0
    assert (await made_place.kasparro("doctor")).exit_code == 0
