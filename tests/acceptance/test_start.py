"""What commands import, which is most of the time that a short one takes. Speed itself is for `bench/`."""

import json
from pathlib import Path

import pytest

from kasparro.core.database import ConnectionOptions
from tests.acceptance.kasparro_process import environment, finish, start
from tests.http_server import Upstream, answer, json_answer
from tests.recovery.facts import url_of

IMPORTED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([n for n, m in sys.modules.items() if m is not None]), file=sys.stderr))
from kasparro.cli.main import main
main()
"""
BY_CHANCE = {"numpy", "pandas"}
"""PyArrow imports them where they are installed."""
OF_TABLES = {"alembic", "sqlalchemy", "sqlmodel"}
OF_SERVING = {"fastapi", "granian", "prometheus_client", "starlette", "uvicorn"}
OF_HTTP = {"aiolimiter", "h2", "httpcore", "httpx"}
OF_FEEDS = {"feedparser", "nh3"}
OF_LOADING = {"asyncpg", "charset_normalizer", "pgpq", "pyarrow", "pyroaring"}
SOURCES = """\
sources:
  - {{name: items, type: csv, path: items.csv, key: id, map: {{title: name}}}}
  - {{name: things, type: api, url: "{things}", allow_private: true, key: id, map: {{title: name}}}}
  - {{name: news, type: rss, url: "{news}", allow_private: true}}
"""
FEED = b"""<rss version="2.0"><channel><title>News</title>
<item><guid>n1</guid><title>One</title><link>https://example.org/1</link></item></channel></rss>"""


@pytest.fixture
def folder(tmp_path: Path, upstream: Upstream) -> Path:
    """One source of each type, with one record each."""
    (tmp_path / "items.csv").write_text("id,name\ni1,one\n", encoding="utf-8")
    things = upstream.on("/things", json_answer([{"id": 1, "name": "one"}]))
    news = upstream.on("/news", answer(body=FEED, headers={"content-type": "application/rss+xml"}))
    (tmp_path / "kasparro.yaml").write_text(SOURCES.format(things=things, news=news), encoding="utf-8")
    return tmp_path


async def imported_by(folder: Path, options: ConnectionOptions, *arguments: str) -> set[str]:
    """The modules that the real command has imported by its end."""
    env = environment(DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"))
    ended = await finish(await start("-c", IMPORTED, *arguments, env=env, cwd=folder))
    assert ended.exit_code == 0, ended.stderr[:2000]
    return set(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("source", "unwanted", "most"),
    [("items", OF_HTTP | OF_FEEDS, 820), ("things", OF_FEEDS, 990), ("news", {"feedparser"}, 1_000)],
)
async def test_run_imports_what_its_source_needs(
    folder: Path, database: ConnectionOptions, source: str, unwanted: set[str], most: int
) -> None:
    for _ in ("first load", "nothing new"):
        imported = await imported_by(folder, database, "run", source)
        assert not imported & (unwanted | BY_CHANCE | OF_TABLES | OF_SERVING)
        assert len(imported) < most


@pytest.mark.parametrize("command", ["status", "runs list", "check"])
async def test_commands_that_show_import_no_server_and_no_tables(
    folder: Path, database: ConnectionOptions, command: str
) -> None:
    imported = await imported_by(folder, database, *command.split())
    assert not imported & (BY_CHANCE | OF_TABLES | OF_SERVING | OF_HTTP | OF_FEEDS)


async def test_configuration_is_read_without_what_loads(folder: Path, database: ConnectionOptions) -> None:
    imported = await imported_by(folder, database, "config", "show")
    assert not imported & (BY_CHANCE | OF_LOADING | OF_TABLES | OF_SERVING | OF_HTTP | OF_FEEDS)
