"""1,233 records through another API server that is not ours: json-server, which pages by number and by `Link`.

It comes from npm, into a folder that goes with the test.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import environment
from tests.long.test_datasette import free_port, run
from tests.recovery.facts import url_of

pytestmark = pytest.mark.long

PACKAGE = "json-server@0.17.4"
RECORDS = 1_233
PAGE_RECORDS = 100
SOURCE = """
  - name: {name}
    type: api
    url: {url}/items
    params: {{{params}}}
    pagination: {{{pagination}}}
    allow_private: true
    rate_limit: {{requests: 1000}}
    key: id
    map: {{title: name, value: price, tags: tags, attributes: {{shelf: place.shelf}}}}
"""


async def installed(folder: Path) -> Path:
    """The server's command, fresh from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not there: it installs {PACKAGE}, which this test reads from")
    options = ("--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    process = await asyncio.create_subprocess_exec(
        npm, "install", *options, PACKAGE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    return folder / "node_modules" / ".bin" / "json-server"


def item(number: int) -> dict[str, object]:
    """A record with what is easily damaged on the way: decimals, text beyond ASCII, null, lists, nesting."""
    return {
        "id": number,
        "name": f"Stück {number} 🍎" if number % 7 else None,
        "price": number / 100,
        "tags": [f"t{number % 5}", "all"],
        "place": {"shelf": number % 13},
    }


async def until_ready(server: asyncio.subprocess.Process) -> None:
    """It names its resources once it listens."""
    assert server.stdout is not None
    async with asyncio.timeout(60):
        while b"/items" not in (line := await server.stdout.readline()):
            assert line, "json-server ended early"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a json-server with the records."""
    command = await installed(tmp_path / "npm")
    data = tmp_path / "items.json"
    data.write_text(json.dumps({"items": [item(number) for number in range(1, RECORDS + 1)]}), encoding="utf-8")
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        command, "--host", "127.0.0.1", "--port", str(port), "--read-only", data, cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await until_ready(server)
    assert server.stdout is not None
    drained = asyncio.create_task(server.stdout.read())
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    await server.wait()
    await drained


async def test_both_ways_of_paging_load_the_same_and_a_second_run_changes_nothing(
    tmp_path: Path, served: str, database: ConnectionOptions, connection: Connection
) -> None:
    size = f'_limit: "{PAGE_RECORDS}"'
    ways = {
        "numbered": ("", f"type: page, param: _page, size_param: _limit, size: {PAGE_RECORDS}"),
        "linked": (f'_page: "1", {size}', "type: link_header"),
    }
    sources = [
        SOURCE.format(name=name, url=served, params=params, pagination=paging)
        for name, (params, paging) in ways.items()
    ]
    (tmp_path / "kasparro.yaml").write_text("sources:" + "".join(sources), encoding="utf-8")
    env = environment(DATABASE_URL=url_of(database))

    first = {name: await run(tmp_path, env, name) for name in ways}
    again = {name: await run(tmp_path, env, name) for name in ways}
    for name in ways:
        records = first[name]["records"]
        assert (name, records["fetched"], records["inserted"], records["rejected"]) == (name, RECORDS, RECORDS, 0)
        records = again[name]["records"]
        assert (name, records["fetched"], records["unchanged"], again[name]["raw_written"]) == (
            name,
            RECORDS,
            RECORDS,
            0,
        )
    assert len({ended["digest"] for ended in [*first.values(), *again.values()]}) == 1
    assert await connection.fetchval("select count(*) from raw_api_data") == 2 * RECORDS
    rows = await connection.fetch("select title, value::text, tags from unified_data where record_key = '1233'")
    assert [tuple(row) for row in rows] == [("Stück 1233 🍎", "12.33", ["t3", "all"])] * 2
