"""`kasparro sample` and `check` for sources over HTTP: what a server answers is shown; nothing is written."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kasparro.cli.main import app

ITEMS = [
    {"id": n, "name": f"N{n}", "price": {"usd": 1.10 + n}, "kind": "k", "updated_at": f"2026-11-0{n}T05:00:00Z"}
    for n in range(1, 4)
]
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>News &amp; more</title>
<entry><id>urn:1</id><title>One</title><link href="https://x.org/1"/><updated>2026-11-01T05:00:00Z</updated></entry>
<entry><id>urn:2</id><title>Two</title><link href="https://x.org/2"/><updated>2026-11-02T05:00:00Z</updated></entry>
</feed>"""
ITEM = "<item><guid>1</guid><title>A</title></item>"
RSS = f'<rss version="2.0"><channel><title><![CDATA[Old]]></title>{ITEM}</channel></rss>'
JSON_FEED = {"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": [{"id": "1", "content_text": "x"}]}
CONFIGURATION = """
sources:
  - name: items
    type: api
    url: http://127.0.0.1:{port}/items
    allow_private: true
    auth: {{type: api_key, header: X-API-Key, value: "${{ITEMS_KEY}}"}}
    records: data
    pagination: {{type: next_url, next: next}}
    retry: {{attempts: 1}}
    key: id
    map: {{title: name, value: price.usd, occurred_at: updated_at}}
  - {{name: atom, type: rss, url: "http://127.0.0.1:{port}/atom", allow_private: true}}
  - {{name: rss, type: rss, url: "http://127.0.0.1:{port}/rss", allow_private: true}}
  - name: feeds
    type: rss
    urls: ["http://127.0.0.1:{port}/json", "http://127.0.0.1:{port}/${{FEED_TOKEN}}"]
    allow_private: true
"""


SECRET = "hunter3!"


@dataclass
class Upstream:
    """A server on loopback; `asked` are the paths it was asked for."""

    port: int = 0
    asked: list[str] = field(default_factory=list[str])


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream.asked.append(self.path)
            status, kind, body = self._answer()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> tuple[int, str, bytes]:
            documents = {
                "/atom": ATOM.encode(),
                f"/{SECRET}": ATOM.encode(),
                "/rss": RSS.encode(),
                "/json": json.dumps(JSON_FEED).encode(),
            }
            if self.path.partition("?")[0] in documents:
                return 200, "application/xml", documents[self.path]
            if self.path.startswith("/items") and self.headers["X-API-Key"] == "hunter2!":
                following = None if "page=2" in self.path else "/items?page=2"
                data = ITEMS[2:] if "page=2" in self.path else ITEMS[:2]
                return 200, "application/json", json.dumps({"data": data, "next": following}).encode()
            return 403, "text/plain", b"who are you?"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Not to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        upstream.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ITEMS_KEY", "hunter2!")
        monkeypatch.setenv("FEED_TOKEN", SECRET)
        (tmp_path / "kasparro.yaml").write_text(CONFIGURATION.format(port=server.server_port), encoding="utf-8")
        yield upstream
        server.shutdown()
        thread.join()


def ran(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == exit_code, result.output
    assert "hunter2!" not in result.output
    return result.output


def answered(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)


def test_an_api_is_sampled_and_explained(upstream: Upstream, tmp_path: Path) -> None:
    answer = answered("sample", "items", "--explain", "--limit", "1")
    [record] = answer["records"]
    assert record["raw"]["price"] == {"usd": "2.1"}
    assert record["normalized"] == {
        "record_key": "1",
        "title": "N1",
        "value": "2.1",
        "occurred_at": "2026-11-01T05:00:00Z",
    }
    [(place, detected)] = answer["detected"].items()
    assert place == f"http://127.0.0.1:{upstream.port}/items"
    assert detected.startswith("application/json, 2 pages fetched, ")
    assert answer["findings"] == {
        "records at": "data (2)",
        "next page": "next (next_url)",
        "key candidates": "id, name, updated_at",
        "watermark candidates": "updated_at (iso8601)",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["kasparro.yaml"]
    shown = ran("sample", "items", "--explain")
    assert "price.usd" in shown
    assert "key candidates: id, name" in shown


NOWHERE = 'no record has a time at "updatd_at" that reads as iso8601 and is not in the future'


@pytest.mark.parametrize(
    ("incremental", "found"),
    [
        ("field: updated_at, param: since", "2026-11-03T05:00:00Z"),
        ("field: updatd_at, param: since", f"{NOWHERE}: every run reads them again"),
    ],
)
def test_a_watermark_is_explained(upstream: Upstream, tmp_path: Path, incremental: str, found: str) -> None:
    text = CONFIGURATION.format(port=upstream.port).replace(
        "    key: id", f"    incremental: {{{incremental}}}\n    key: id"
    )
    (tmp_path / "kasparro.yaml").write_text(text, encoding="utf-8")
    assert answered("sample", "items", "--explain")["findings"]["watermark"] == found


@pytest.mark.parametrize(
    ("name", "described"),
    [("atom", 'Atom, "News & more", 2 entries'), ("rss", 'RSS 2.0, "Old", 1 entry')],
)
def test_a_feed_is_sampled_with_its_format_title_and_entries(upstream: Upstream, name: str, described: str) -> None:
    answer = answered("sample", name, "--limit", "1")
    assert answer["detected"] == {f"http://127.0.0.1:{upstream.port}/{name}": described}
    assert len(answer["records"]) == 1
    assert answer["records"][0]["outcome"] == "accepted"


def test_several_feeds_are_sampled_until_there_are_enough_entries(upstream: Upstream) -> None:
    answer = answered("sample", "feeds", "--limit", "2")
    assert list(answer["detected"])[1] == f"http://127.0.0.1:{upstream.port}/***"
    assert SECRET not in json.dumps(answer)
    assert list(answer["detected"].values()) == ['JSON Feed, "J", 1 entry', 'Atom, "News & more", 2 entries']
    assert upstream.asked == ["/json", f"/{SECRET}"]


def test_a_server_that_refuses_is_named(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITEMS_KEY", "hunter4!")
    shown = ran("sample", "items", exit_code=4)
    assert f"http://127.0.0.1:{upstream.port}/items" in shown
    assert "403" in shown


def test_where_no_records_stand_it_is_explained_where_they_might(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "kasparro.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("records: data", "records: dat"), encoding="utf-8")
    shown = ran("sample", "items", "--explain", exit_code=4)
    assert "records at: data (2); next page: next (next_url)" in " ".join(shown.split())
    assert upstream.asked == ["/items"]


def test_check_asks_nobody(upstream: Upstream) -> None:
    answer = answered("check")
    port = upstream.port
    assert [(source["name"], source["path"], source["files"]) for source in answer["sources"]] == [
        ("items", f"http://127.0.0.1:{port}/items", None),
        ("atom", f"http://127.0.0.1:{port}/atom", None),
        ("rss", f"http://127.0.0.1:{port}/rss", None),
        ("feeds", f"http://127.0.0.1:{port}/json and 1 more", None),
    ]
    assert upstream.asked == []
