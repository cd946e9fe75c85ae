"""`kasparro doctor`: upstreams, clock and sources, and how bad it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.http_server import Hang, Upstream, answer, json_answer, raw
from tests.recovery.facts import url_of

FEED = b"<rss version='2.0'><channel><title>t</title><item><guid>1</guid><title>a</title></item></channel></rss>"
MAPS = "map: {title: name}"


class Place:
    """A folder with a configuration, for a database that is there."""

    def __init__(self, folder: Path, home: Path, options: ConnectionOptions, port: int) -> None:
        self.folder = folder
        self.env = environment(KASPARRO_HOME=str(home), DATABASE_URL=url_of(options), KASPARRO_PORT=str(port))

    def configure(self, *sources: str) -> None:
        lines = "\n".join(f"  - {{{source}}}" for source in sources)
        (self.folder / "kasparro.yaml").write_text(f"sources:\n{lines}\n", encoding="utf-8")

    async def doctor(self, *options: str) -> tuple[Ended, dict[str, dict[str, Any]]]:
        ended = await kasparro("doctor", "--json", *options, env=self.env, cwd=self.folder)
        return ended, {item["check"]: item for item in ended.document["data"]}


@pytest.fixture
def place(tmp_path: Path, home: Path, database: ConnectionOptions, port: int) -> Place:
    return Place(tmp_path, home, database, port)


async def test_each_upstream_is_asked_once_as_a_run_would_and_told_with_a_remedy(
    place: Place, upstream: Upstream
) -> None:
    items = upstream.on("/items", json_answer({"data": [{"id": 1, "name": "a"}], "next": "more"}))
    feed = upstream.on("/feed", answer(body=FEED, headers={"date": "Thu, 01 Jan 2015 00:00:00 GMT"}))
    closed = upstream.on("/closed", answer(401, b"no key"))
    busy = upstream.on("/busy", answer(503, b"later"))
    (place.folder / "rows.csv").write_text("id,name\n1,a\n", encoding="utf-8")
    http = "allow_private: true"
    place.configure(
        f"name: items, type: api, url: '{items}', records: data, key: id, {http}, {MAPS}, "
        "pagination: {type: cursor, next: next}, auth: {type: api_key, header: X-Key, value: 'opensesame'}",
        f"name: news, type: rss, url: '{feed}', {http}",
        f"name: closed, type: api, url: '{closed}', key: id, {http}, {MAPS}",
        f"name: busy, type: api, url: '{busy}', key: id, {http}, {MAPS}",
        f"name: rows, type: csv, path: rows.csv, key: id, {MAPS}",
        f"name: none, type: csv, path: 'none*.csv', key: id, {MAPS}",
    )
    ended, found = await place.doctor()
    assert (ended.exit_code, ended.document["worst"]) == (4, "fail")
    verdicts = {name.removeprefix("upstream "): each["verdict"] for name, each in found.items() if "upstream " in name}
    assert verdicts == {
        "items": "ok", "news": "ok", "closed": "fail", "busy": "fail", "rows": "ok", "none": "fail",
    }  # fmt: skip
    assert found["upstream items"]["found"].startswith("answered 200 in ")
    assert found["upstream rows"]["found"] == "1 file"
    assert all(each["todo"] for each in found.values() if each["verdict"] == "fail")
    assert "key" in found["upstream closed"]["todo"]
    assert [upstream.count(path) for path in ("/items", "/feed", "/closed", "/busy")] == [1, 1, 1, 1]
    assert upstream.last("/items").headers["x-key"] == "opensesame"
    assert "opensesame" not in ended.stdout + ended.stderr
    assert (found["clock"]["verdict"], "ahead of the server of news" in found["clock"]["found"]) == ("warn", True)


async def test_a_server_that_is_silent_is_given_up_and_none_is_asked_offline(place: Place, upstream: Upstream) -> None:
    url = upstream.on("/silent", raw(Hang()))
    place.configure(f"name: silent, type: api, url: '{url}', key: id, allow_private: true, {MAPS}")
    ended, found = await place.doctor("--offline")
    assert (ended.exit_code, upstream.requests) == (0, [])
    assert "upstream silent" not in found
    ended, found = await place.doctor()
    assert (ended.exit_code, found["upstream silent"]["verdict"]) == (4, "fail")
    assert found["upstream silent"]["todo"]


async def test_sources_and_clock_are_told_from_the_database(place: Place, connection: Connection) -> None:
    place.configure(f"name: rows, type: csv, path: 'rows.csv', key: id, {MAPS}")
    (place.folder / "rows.csv").write_text("id,name\n1,a\n", encoding="utf-8")
    await connection.execute("""
        insert into sources (name, type, identity, config_hash, last_success_at, interval_seconds, circuit_state)
        values ('failing', 'csv', '{}', '', now() - interval '1 hour', null, 'open'),
               ('old', 'csv', '{}', '', now() - interval '1 hour', 60, 'closed'),
               ('well', 'csv', '{}', '', now() - interval '65 seconds', 60, 'closed'),
               ('never', 'csv', '{}', '', null, null, 'closed');
        insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code)
        select id, 'schedule', 'failed', now(), now(), 'source' from sources where name = 'failing'
    """)
    ended, found = await place.doctor()
    assert (ended.exit_code, ended.document["worst"]) == (0, "warn")
    told = {name: (each["verdict"], each["found"], each["todo"]) for name, each in found.items()}
    assert told["source failing"] == (
        "warn",
        "several runs in a row have failed (source); last success 1 h ago",
        "`kasparro runs show 1` says why",
    )
    assert told["source old"] == (
        "warn",
        "stale: last success 1 h ago, where its schedule allows 11 min",
        "does the scheduler run? `kasparro run old` reads it now",
    )
    assert (told["source well"][0], told["source well"][1].startswith("last success 1 min ")) == ("ok", True)
    assert told["source never"] == ("ok", "no success yet; no scheduler reads it", "")
    assert told["clock"] == ("ok", "as the database's", "")


async def test_the_exit_code_is_that_of_what_weighs_most(place: Place) -> None:
    place.configure(f"name: none, type: csv, path: 'none.csv', key: id, {MAPS}")
    place.env["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"
    ended, found = await place.doctor()
    assert found["upstream none"]["verdict"] == found["database"]["verdict"] == "fail"
    assert ended.exit_code == 5
    assert json.loads(ended.stdout)["worst"] == "fail"
