"""`up`, `down`, `status`, `doctor`: everything on one machine, as a user meets it."""

import http.client
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.kasparro_process import Ended, environment, finish, kasparro, link_to_code, start

CONFIGURATION = """
sources:
  - {name: trades, type: csv, path: trades.csv, key: id, map: {title: id, value: price}}
"""


class Place:
    """A folder with a configuration, a home and a port of its own."""

    def __init__(self, folder: Path, home: Path, port: int) -> None:
        self.folder = folder
        self.home = home
        self.port = port
        code = link_to_code(folder)
        self.env = environment(KASPARRO_HOME=str(home), KASPARRO_PORT=str(self.port), PYTHONPATH=code)
        (folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
        (folder / "trades.csv").write_text("id,price\na,1.50\nb,2\n", encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)

    def get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ask_for_a_run(self, key: str) -> int:
        """The status of `POST /runs`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/runs", body='{"source": "trades"}', headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    async def down(self, *options: str) -> None:
        """Leave nothing running."""
        if self.home.exists():
            ended = await self.kasparro("down", *options)
            assert ended.exit_code == 0, ended.stderr


@pytest.fixture
async def place(tmp_path: Path, home: Path, port: int) -> AsyncIterator[Place]:
    """Where there has been nothing yet."""
    place = Place(tmp_path, home, port)
    yield place
    await place.down()


@pytest.fixture
async def made_place(tmp_path: Path, made_home: Path, port: int) -> AsyncIterator[Place]:
    """Where there is a database, without kasparro's tables, that does not run."""
    place = Place(tmp_path, made_home, port)
    yield place
    await place.down()


async def test_up_loads_serves_and_loads_nothing_twice(place: Place) -> None:
    first = await place.kasparro("up", "--detach", "--json")
    assert first.exit_code == 0, first.stderr
    assert first.document["url"] == f"http://127.0.0.1:{place.port}"
    assert [(run["name"], run["last_run"]["inserted"]) for run in first.document["sources"]] == [("trades", 2)]
    status, page = place.get("/data?limit=10&offset=0&source=csv")
    assert status == 200
    assert [(record["record_key"], record["value"]) for record in page["data"]] == [("a", "1.5"), ("b", "2")]

    down = await place.kasparro("down", "--json")
    assert down.document == {
        "server_stopped": True, "scheduler_stopped": True, "demo_stopped": False, "database_stopped": True,
    }  # fmt: skip
    assert not place.answers()

    again = await place.kasparro("up", "--detach", "--json", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    assert [run["last_run"]["inserted"] for run in again.document["sources"]] == [0]
    assert len(place.get("/data")[1]["data"]) == 2
    health = place.get("/health")
    assert (health[0], health[1]["status"]) == (200, "ok")


async def test_up_twice_keeps_the_server_and_loads_what_is_new(made_place: Place) -> None:
    await made_place.kasparro("up", "--detach")
    before = (await made_place.kasparro("status", "--json")).document["server"]
    with (made_place.folder / "trades.csv").open("a", encoding="utf-8") as file:
        file.write("c,3\n")
    ended = await made_place.kasparro("up", "--detach", "--json")
    assert ended.exit_code == 0, ended.stderr
    assert ended.document["sources"][0]["last_run"]["inserted"] == 1
    assert (await made_place.kasparro("status", "--json")).document["server"] == before


async def test_a_run_can_be_asked_for_as_soon_as_up_returns(made_place: Place) -> None:
    """The scheduler that `up` starts, or starts anew, is at work by then."""
    await made_place.kasparro("up", "--detach")
    created = await made_place.kasparro("keys", "create", "me", "--scope", "operate", "--quiet")
    assert made_place.ask_for_a_run(created.stdout.strip()) == 202
    changed = CONFIGURATION.replace("key: id,", "key: id, schedule: {every: 1h},")
    (made_place.folder / "kasparro.yaml").write_text(changed, encoding="utf-8")
    ended = await made_place.kasparro("up", "--detach")
    assert "was started with another configuration: restarting it" in ended.stderr
    assert made_place.ask_for_a_run(created.stdout.strip()) == 202


async def test_up_ends_with_what_was_not_loaded_and_the_exit_code(made_place: Place) -> None:
    absent = CONFIGURATION + "  - {name: absent, type: csv, path: nowhere.csv, key: id, map: {title: id}}\n"
    (made_place.folder / "kasparro.yaml").write_text(absent, encoding="utf-8")
    ended = await made_place.kasparro("up", "--detach")
    assert ended.exit_code != 0
    *_, last = ended.stdout.splitlines()
    assert last == f"Not loaded: absent (why is said above); so the exit code is {ended.exit_code}."
    assert f"The API answers at http://127.0.0.1:{made_place.port}" in ended.stdout


async def test_a_killed_server_is_known_to_be_gone_and_started_anew(made_place: Place) -> None:
    await made_place.kasparro("up", "--detach")
    pid = (await made_place.kasparro("status", "--json")).document["server"]["pid"]
    os.kill(pid, signal.SIGKILL)
    assert (await made_place.kasparro("status", "--json")).document["server"] == {"running": False}
    assert (await made_place.kasparro("up", "--detach")).exit_code == 0
    assert made_place.get("/health")[0] == 200


async def test_a_port_taken_by_another_program_is_said(made_place: Place) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", made_place.port))
        other.listen()
        other.settimeout(0)
        ended = await made_place.kasparro("serve", "--json")
        assert (ended.exit_code, ended.document["error"]["code"]) == (5, "migrations_pending")
        await made_place.kasparro("migrate")
        ended = await made_place.kasparro("serve", "--json")
        assert (ended.exit_code, ended.document["error"]["code"]) == (3, "configuration")
    assert f"port {made_place.port} on 127.0.0.1 is taken" in ended.document["error"]["message"]


async def test_up_in_the_foreground_ends_by_signal_and_frees_the_port(made_place: Place) -> None:
    """With --json its summary is alone on standard output."""
    process = await start("-m", "kasparro", "up", "--json", env=made_place.env, cwd=made_place.folder)
    assert process.stderr is not None
    said = b""
    while b"Ctrl-C stops" not in said:
        line = await process.stderr.readline()
        assert line, said.decode()
        said += line
    assert made_place.get("/health")[0] == 200
    assert (await made_place.kasparro("status", "--json")).document["server"]["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    ended = await finish(process)
    assert ended.exit_code == 143
    assert ended.document["url"].endswith(f":{made_place.port}")
    assert b'"event":' in said + ended.stderr.encode()
    assert not made_place.answers()


async def test_down_where_nothing_runs_is_fine(place: Place) -> None:
    ended = await place.kasparro("down")
    assert (ended.exit_code, ended.stdout) == (0, "nothing was running\n")


async def test_down_leaves_a_stranger_with_the_same_number_alone(place: Place) -> None:
    """A lock file that nobody holds names a process that only inherited the number: this test's own."""
    place.home.mkdir()
    text = json.dumps({"pid": os.getpid(), "host": "127.0.0.1", "port": place.port})
    (place.home / "serve.lock").write_text(text, encoding="utf-8")
    assert (await place.kasparro("down", "--json")).document["server_stopped"] is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_an_address_that_others_reach_is_refused_until_readers_are_decided(place: Place, host: str) -> None:
    place.env["KASPARRO_HOST"] = host
    ended = await place.kasparro("up", "--detach")
    assert ended.exit_code == 3
    assert "KASPARRO_HOST" in ended.stderr
    assert ("true" in ended.stderr) == (host != "example.org")


async def test_doctor_tells_a_stopped_place_from_a_running_one(place: Place) -> None:
    stopped = await place.kasparro("doctor", "--json")
    assert stopped.exit_code == 0
    assert {item["check"]: item["verdict"] for item in stopped.document["data"]}["database"] == "warn"
    await place.kasparro("up", "--detach")
    running = await place.kasparro("doctor", "--json")
    assert running.exit_code == 0
    verdicts = {item["check"]: item["verdict"] for item in running.document["data"] if item["check"] != "disk"}
    assert verdicts == {
        "python": "ok",
        "configuration": "ok",
        "database": "ok",
        "server settings": "ok",
        "migrations": "ok",
        "API server": "ok",
        "scheduler": "ok",
        "demo upstream": "ok",
        "clock": "ok",
        "source trades": "ok",
        "upstream trades": "ok",
    }


async def test_doctor_names_a_broken_configuration_and_an_unreachable_database(place: Place) -> None:
    (place.folder / "kasparro.yaml").write_text("sources: 3\n", encoding="utf-8")
    place.env["DATABASE_URL"] = "postgresql://nobody:hunter2@127.0.0.1:1/none?connect_timeout=2"
    ended = await place.kasparro("doctor", "--json")
    assert ended.exit_code == 5
    verdicts = {item["check"]: item["verdict"] for item in ended.document["data"]}
    assert (verdicts["configuration"], verdicts["database"]) == ("fail", "fail")
    assert "hunter2" not in ended.stdout + ended.stderr
    del place.env["DATABASE_URL"]
