"""`up` over processes that were started with other settings: exactly those are started anew, and it says why."""

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.cli.background import DEMO, SCHEDULER, SERVER, Background
from tests.acceptance.kasparro_process import finish, start
from tests.acceptance.test_up_and_down import CONFIGURATION, Place

FROM_THE_DEMO = """
sources:
  - name: strong
    type: api
    url: http://127.0.0.1:${KASPARRO_DEMO_PORT:-8010}/fdsnws/event/1/query
    allow_private: true
    auth: {type: api_key, header: X-API-Key, value: "${API_KEY}"}
    params: {format: geojson, orderby: time-asc, minmagnitude: "6"}
    records: features
    pagination: {type: offset, param: offset, start: 1, size_param: limit, size: 200}
    schedule: {every: 1h}
    key: id
    map: {title: properties.title}
"""


@pytest.fixture
async def place(tmp_path: Path, made_home: Path, port: int) -> AsyncIterator[Place]:
    """Where there is a database that does not run."""
    place = Place(tmp_path, made_home, port)
    yield place
    await place.down("--force")


def processes(place: Place) -> dict[str, int | None]:
    """Who runs."""
    found = {name: Background(place.home, name).find() for name in (SERVER, SCHEDULER, DEMO)}
    return {name: None if process is None else process.pid for name, process in found.items()}


async def up(place: Place) -> str:
    """What `up` says to people, but for its steps."""
    ended = await place.kasparro("up", "--detach", "--json")
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return "\n".join(line for line in ended.stderr.splitlines() if "started with" in line)


async def rows(place: Place) -> dict[str, tuple[str, str, str]]:
    """What `doctor` says of each thing."""
    document = (await place.kasparro("doctor", "--json")).document
    return {item["check"]: (item["verdict"], item["found"], item["todo"]) for item in document["data"]}


async def test_what_changed_is_started_anew_and_nothing_else(place: Place) -> None:
    await up(place)
    first = processes(place)
    (place.folder / "kasparro.yaml").write_text(f"# a comment\n{CONFIGURATION}", encoding="utf-8")
    assert await up(place) == ""
    assert processes(place) == first

    changed = CONFIGURATION.replace("key: id,", "key: id, schedule: {every: 1h},")
    (place.folder / "kasparro.yaml").write_text(changed, encoding="utf-8")
    told = f"the scheduler (process {first[SCHEDULER]}) was started with another configuration: restarting it"
    assert await up(place) == told
    second = processes(place)
    assert (second[SERVER], second[DEMO]) == (first[SERVER], None)
    assert second[SCHEDULER] not in {None, first[SCHEDULER]}

    place.env |= {"KASPARRO_PORT": str(place.port + 1), "KASPARRO_API_CONNECTIONS": "3"}
    told = (
        f"the API server (process {first[SERVER]}) was started with another KASPARRO_PORT and KASPARRO_API_CONNECTIONS"
    )
    assert await up(place) == f"{told}: restarting it"
    assert not place.answers()
    place.port += 1
    assert place.get("/health")[0] == 200
    assert processes(place)[SCHEDULER] == second[SCHEDULER]


async def test_a_new_key_reaches_the_demo_and_whoever_reads_from_it(place: Place) -> None:
    (place.folder / "kasparro.yaml").write_text(FROM_THE_DEMO, encoding="utf-8")
    place.env |= {"KASPARRO_DEMO_PORT": str(place.port + 1), "API_KEY": "the-first-key-of-this-test"}
    assert await up(place) == ""
    first = processes(place)
    place.env["API_KEY"] = "the-second-key-of-this-test"
    found = await rows(place)
    assert found["demo upstream"] == (
        "warn",
        f"running at http://127.0.0.1:{place.port + 1} (process {first[DEMO]}), started with another API_KEY",
        "`kasparro up --detach` starts it anew",
    )
    assert found["scheduler"][:2] == ("warn", f"running (process {first[SCHEDULER]}), started with another API_KEY")
    assert found["API server"][0] == "ok"
    assert await up(place) == (
        f"the scheduler (process {first[SCHEDULER]}) was started with another API_KEY: restarting it\n"
        f"the demo upstream (process {first[DEMO]}) was started with another API_KEY: restarting it"
    )
    second = processes(place)
    assert second[SERVER] == first[SERVER]
    assert not {second[SCHEDULER], second[DEMO]} & {None, first[SCHEDULER], first[DEMO]}
    found = await rows(place)
    assert {check for check, (verdict, *_) in found.items() if verdict != "ok"} <= {"disk"}
    assert found["scheduler"][1] == f"running (process {second[SCHEDULER]}), started with the present settings"
    logged = [json.loads(line) for line in Background(place.home, DEMO).log_path.read_text("utf-8").splitlines()]
    assert [line["event"] for line in logged].count("demo.started") == 2


async def test_what_was_started_by_hand_is_left_to_whoever_did_that(place: Place) -> None:
    await place.kasparro("migrate")
    scheduler = await start("-m", "kasparro", "scheduler", env=place.env, cwd=place.folder)
    while (pid := processes(place)[SCHEDULER]) is None:
        assert scheduler.returncode is None
    assert pid == scheduler.pid
    place.env["LOG_LEVEL"] = "WARNING"
    told = f"the scheduler (process {pid}) was started with another LOG_LEVEL, by hand, so restart it yourself"
    assert await up(place) == told
    assert processes(place)[SCHEDULER] == pid
    assert (await rows(place))["scheduler"] == (
        "warn",
        f"running (process {pid}), started with another LOG_LEVEL",
        "it was started by hand: restart it yourself",
    )
    await place.down()
    assert (await finish(scheduler)).exit_code == 143


async def test_doctor_says_who_does_not_run_and_how_to_start_them(place: Place) -> None:
    (place.folder / "kasparro.yaml").write_text(FROM_THE_DEMO, encoding="utf-8")
    place.env |= {"KASPARRO_DEMO_PORT": str(place.port + 1), "API_KEY": "a-key-of-this-test"}
    found = await rows(place)
    assert found["scheduler"] == (
        "warn",
        "not running in this home",
        "`kasparro up` starts it; until then only `kasparro run` loads",
    )
    assert found["demo upstream"] == ("warn", "not running, and sources read from it", "`kasparro up` starts it")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", place.port + 1))
        other.listen()
        found = await rows(place)
    taken = f"not running, and its port {place.port + 1} on 127.0.0.1 is taken by another program"
    assert found["demo upstream"] == ("fail", taken, f"stop it, or set KASPARRO_DEMO_PORT={place.port + 2}")
    (place.folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    assert (await rows(place))["demo upstream"] == ("ok", "not running, and no source reads from it", "")


async def test_status_shows_who_runs_although_the_database_does_not_answer(place: Place) -> None:
    place.env["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"
    ended = await place.kasparro("status", "--json")
    assert ended.exit_code == 5
    assert ended.document["processes"] == {"serve": None, "scheduler": None, "demo": None}
    assert "127.0.0.1:1" in ended.document["database"]["state"]
    assert ended.document["database"]["state"] in ended.stderr
    found = await rows(place)
    assert (found["database"][0], found["database"][2]) == ("fail", "is it up, and does DATABASE_URL name it?")
    assert found["scheduler"][2] == "`kasparro scheduler` starts it, unless it runs elsewhere"
    (place.folder / "kasparro.yaml").write_text("sources: 3\n", encoding="utf-8")
    assert (await rows(place))["demo upstream"][1].startswith("not running; without a configuration")
    del place.env["DATABASE_URL"]
