"""`kasparro demo` as a process: what it needs, what it serves, how it ends."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import ROOT, Ended, environment, finish, kasparro, start
from tests.recovery.facts import url_of

QUERY = "/fdsnws/event/1/query"
FEED = "/earthquakes/feed/v1.0/summary/all_week.atom"
COUNTED = ("fetched", "inserted", "updated")
KEY = "a-key-for-this-test"
FROZEN = "2018-02-05T12:00:00Z"


@asynccontextmanager
async def demo(
    port: int, *arguments: str, began: datetime | None = None
) -> AsyncGenerator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """The command while it serves, in a home whose first replay `began` then, and a client of it."""
    home = tempfile.TemporaryDirectory()
    if began is not None:
        (Path(home.name) / "demo.started").write_text(began.isoformat(), encoding="utf-8")
    env = environment(API_KEY=KEY, KASPARRO_HOME=home.name)
    process = await start("-m", "kasparro", "demo", "--port", str(port), *arguments, env=env)
    try:
        assert process.stderr is not None
        said = await process.stderr.readline()
        assert said.startswith(b"the week stands at "), said + await process.stderr.read()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield process, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        home.cleanup()


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> Ended:
    process.send_signal(number)
    return await finish(process)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_ends_it_and_frees_the_port(port: int, number: signal.Signals, exit_code: int) -> None:
    async with demo(port, "--at", FROZEN) as (process, client):
        assert (await client.get("/health")).json() == {
            "status": "ok",
            "week_time": "2018-02-05T12:00:00+00:00",
            "events": 1360,
        }
        outcome = await ended(process, number)
        assert (outcome.exit_code, outcome.stderr) == (exit_code, "")
        events = [json.loads(line)["event"] for line in outcome.stdout.splitlines()]
        assert events == ["server.started", "server.stopped"]
        with pytest.raises(httpx.ConnectError):
            await client.get("/health")


async def test_all_pages_of_a_frozen_week_hold_what_the_feed_holds(port: int) -> None:
    async with demo(port, "--at", FROZEN, "--no-limits") as (_, client):
        found: list[str] = []
        for offset in range(1, 1602, 200):
            parameters = {"format": "geojson", "orderby": "time-asc", "limit": "200", "offset": str(offset)}
            answer = await client.get(QUERY, params=parameters, headers={"X-API-Key": KEY})
            found += [feature["id"] for feature in answer.json()["features"]]
        feed = await client.get(FEED)
        again = await client.get(FEED, headers={"If-None-Match": feed.headers["ETag"]})
    assert len(found) == len(set(found)) == 1360
    listed = [part.split("</id>")[0] for part in feed.text.split("<id>urn:earthquake-usgs-gov:")[1:]]
    assert [name.replace(":", "") for name in listed] == found[::-1]
    assert (again.status_code, again.content) == (304, b"")


async def test_the_api_asks_for_the_key_and_refuses_every_fifth_request(port: int) -> None:
    async with demo(port, "--at", FROZEN) as (_, client):
        assert (await client.get(QUERY, params={"format": "geojson"})).status_code == 401
        assert (await client.get(QUERY, headers={"X-API-Key": "another"})).status_code == 403
        parameters, headers = {"format": "geojson", "limit": "1"}, {"X-API-Key": KEY}
        answers = [await client.get(QUERY, params=parameters, headers=headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429, 200]
    assert answers[4].headers["Retry-After"] == "1"


@pytest.mark.parametrize("option", ["--started", "--resume"])
async def test_a_replay_that_began_ten_minutes_ago_has_gone_on(port: int, option: str) -> None:
    started = datetime.now(UTC) - timedelta(minutes=10)
    arguments = (option, started.isoformat()) if option == "--started" else (option,)
    async with demo(port, *arguments, began=started) as (_, client):
        health = (await client.get("/health")).json()
    at = datetime.fromisoformat(health["week_time"])
    assert datetime(2018, 2, 4, 22, tzinfo=UTC) <= at < datetime(2018, 2, 5, 4, tzinfo=UTC)
    assert health["events"] >= 1204


async def test_the_week_goes_by_while_it_runs(port: int) -> None:
    async with demo(port, "--speed", "1000000") as (_, client), asyncio.timeout(30):
        while (await client.get("/health")).json()["events"] < 1707:
            pass
        health = (await client.get("/health")).json()
    assert health == {"status": "ok", "week_time": "2018-02-07T01:49:14+00:00", "events": 1707}


@pytest.mark.parametrize(("variables", "state"), [({}, "is not set (nor API_KEY_FILE)"), ({"API_KEY": ""}, "is empty")])
async def test_without_a_key_it_does_not_start(port: int, variables: dict[str, str], state: str) -> None:
    without = {name: value for name, value in environment().items() if name != "API_KEY"}
    outcome = await kasparro("demo", "--port", str(port), "--json", env={**without, **variables})
    assert outcome.exit_code == 3
    assert outcome.document["error"]["message"] == f"environment: API_KEY {state}"


async def test_the_key_may_stand_in_a_file(port: int, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n", encoding="utf-8")
    env = environment(API_KEY_FILE=str(tmp_path / "key"))
    env.pop("API_KEY", None)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        outcome = await kasparro("demo", "--port", str(port), "--json", env=env)
    assert outcome.exit_code == 3
    error = outcome.document["error"]
    assert error["message"] == f"port {port} on 127.0.0.1 is taken"
    assert error["hint"] == f"choose another one: --port {port + 1}"


async def test_its_port_is_the_one_that_sources_read_from(port: int) -> None:
    """As the shipped configuration has it: from KASPARRO_DEMO_PORT, unless --port says otherwise."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        outcome = await kasparro("demo", "--json", env=environment(API_KEY=KEY, KASPARRO_DEMO_PORT=str(port)))
    assert outcome.exit_code == 3
    assert outcome.document["error"]["message"] == f"port {port} on 127.0.0.1 is taken"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "noon"), '--at: "noon" is not an ISO 8601 time'),
        (("--started", "5 minutes ago"), '--started: "5 minutes ago" is not an ISO 8601 time'),
        (
            ("--started", "2018-02-05T12:00:00Z", "--resume"),
            "--started, --resume: each says when the replay began; keep one",
        ),
        (("--speed", "inf"), "--speed: inf is not a number of seconds"),
    ],
)
async def test_what_cannot_be_read_is_named(port: int, arguments: tuple[str, ...], message: str) -> None:
    outcome = await kasparro("demo", "--port", str(port), "--json", *arguments, env=environment(API_KEY=KEY))
    assert (outcome.exit_code, outcome.document["error"]["message"]) == (2, message)


async def test_a_server_whose_thread_leaves_late_ends_without_a_crash(port: int) -> None:
    script = Path(__file__).parent / "serve_until_stopped.py"
    process = await start(str(script), str(port))
    assert process.stdout is not None
    while b"ready" not in (line := await process.stdout.readline()):
        assert line
    outcome = await ended(process, signal.SIGTERM)
    assert (outcome.exit_code, outcome.stderr) == (0, "")


async def test_the_proposed_sources_load_and_join_and_follow_the_week(
    port: int, tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    """The sources of docs/demo.md, at two moments ten hours apart: the second run writes what is new or revised."""
    [proposed] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "demo.md").read_text(encoding="utf-8"), re.DOTALL)
    text = proposed.replace(":8010/", f":{port}/").replace("data/earthquakes.csv", str(ROOT / "data/earthquakes.csv"))
    (tmp_path / "kasparro.yaml").write_text(text, encoding="utf-8")
    env = environment(DATABASE_URL=url_of(database), KASPARRO_HOME=str(tmp_path / "home"), API_KEY=KEY)
    loaded: list[dict[str, tuple[int, ...]]] = []
    for at in ("2018-02-04T12:00:00Z", "2018-02-04T22:00:00Z"):
        async with demo(port, "--at", at):
            outcome = await kasparro("run", "--json", env=env, cwd=tmp_path)
        assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
        runs = outcome.document["data"]
        loaded.append({run["source"]: tuple(run["records"][name] for name in COUNTED) for run in runs})
    assert loaded == [
        {"earthquakes_api": (1080, 1080, 0), "earthquakes_feed": (1080, 1080, 0), "earthquakes_csv": (1707, 1707, 0)},
        {"earthquakes_api": (178, 124, 35), "earthquakes_feed": (1204, 124, 35), "earthquakes_csv": (0, 0, 0)},
    ]
    rows = await connection.fetch(
        """select s.type, u.title, trim_scale(u.value)::text, u.occurred_at::text
           from unified_data u join sources s on s.id = u.source_id where entity_key = 'us1000cfm4' order by s.type"""
    )
    assert [tuple(row) for row in rows] == [
        ("api", "M 4.2 - 119km WNW of Copiapo, Chile", "4.2", "2018-02-04 11:18:48+00"),
        ("csv", "119km WNW of Copiapo, Chile", "4.2", "2018-02-04 11:18:48+00"),
        ("rss", "M 4.2 - 119km WNW of Copiapo, Chile", "4.2", "2018-02-04 11:18:48+00"),
    ]
