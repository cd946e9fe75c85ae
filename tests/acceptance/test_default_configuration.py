"""The configuration that is shipped: an API, a feed and a file, loaded by one command where there is no network."""

import http.client
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.kasparro_process import ROOT, environment, kasparro


class Place:
    """A folder with the shipped configuration and file, and ports of its own."""

    def __init__(self, folder: Path, home: Path, port: int) -> None:
        self.folder = folder
        shutil.copy(ROOT / "kasparro.yaml", folder)
        shutil.copytree(ROOT / "data", folder / "data")
        self.port = port
        self.env = environment(
            KASPARRO_HOME=str(home),
            KASPARRO_PORT=str(self.port),
            KASPARRO_DEMO_PORT=str(port + 1),
            API_KEY=secrets.token_hex(16),
        )

    def data(self, query: str) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/data?{query}")
            return json.loads(connection.getresponse().read())["data"]
        finally:
            connection.close()


@pytest.fixture
async def place(tmp_path: Path, home: Path, port: int) -> Any:
    place = Place(tmp_path, home, port)
    yield place
    ended = await kasparro("down", env=place.env, cwd=place.folder)
    assert ended.exit_code == 0, ended.stderr


async def test_up_loads_an_api_a_feed_and_a_file_that_tell_of_the_same_events(place: Place) -> None:
    up = await kasparro("up", "--detach", "--json", env=place.env, cwd=place.folder)
    assert up.exit_code == 0, up.stderr
    assert place.env["API_KEY"] not in up.stdout + up.stderr
    loaded = {source["name"]: source["inserted_in_all"] for source in up.document["sources"]}
    assert loaded["earthquakes_csv"] == 1707
    assert loaded["earthquakes_api"] >= 1080
    assert loaded["earthquakes_feed"] >= 1080

    by_type = {name: {row["entity_key"] for row in place.data(f"source={name}&limit=1000")} for name in ("api", "rss")}
    shared = by_type["api"] & by_type["rss"]
    assert len(shared) > 900
    csv_keys = {
        row["entity_key"] for offset in (0, 1000) for row in place.data(f"source=csv&limit=1000&offset={offset}")
    }
    assert shared <= csv_keys

    status = await kasparro("status", "--json", env=place.env, cwd=place.folder)
    assert all(status.document["processes"].values())
    down = await kasparro("down", "--json", env=place.env, cwd=place.folder)
    assert down.document == {
        "server_stopped": True, "scheduler_stopped": True, "demo_stopped": True, "database_stopped": True,
    }  # fmt: skip
