"""The fields that an entry gives by itself, and what becomes of strangers' HTML on the way."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kasparro.ingestion.source import RecordRejected
from kasparro.ingestion.sources.rss.fields import default_fields, default_key, safe_mapped
from kasparro.ingestion.sources.rss.sanitize import clean_html, without_markup
from kasparro.schemas.unified import UnifiedRecord

BASE = "https://example.org/feed/"
ENTRY: dict[str, Any] = {
    "_key": "f:1", "feed": {"url": BASE, "title": "Feed"}, "guid": "1", "link": "https://example.org/1", "title": "A",
    "title_type": "text/plain", "authors": [], "summary": None, "summary_type": "text/html", "content": [],
    "categories": [], "enclosures": [], "published": None, "published_parsed": None, "updated": None,
    "updated_parsed": None, "language": None, "base": None,
}  # fmt: skip

ATTACKS = {
    "<script>alert(1)</script>a": "a",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>a": "a",
    "<scr<script>ipt>alert(1)</scr</script>ipt>": "ipt&gt;alert(1)ipt&gt;",
    "<img src=x onerror=alert(1)>": f'<img src="{BASE}x">',
    '<img src="javascript:alert(1)">': "<img>",
    '<a href="javascript:alert(1)">a</a>': '<a rel="noopener noreferrer">a</a>',
    '<a href=" &#106;ava\tscript:alert(1)">a</a>': '<a rel="noopener noreferrer">a</a>',
    '<a href="JaVaScRiPt:alert(1)">a</a>': '<a rel="noopener noreferrer">a</a>',
    '<a href="vbscript:x">a</a>': '<a rel="noopener noreferrer">a</a>',
    '<a href="data:text/html,<script>alert(1)</script>">a</a>': '<a rel="noopener noreferrer">a</a>',
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">': "<img>",
    '<p style="background:url(javascript:alert(1))">a</p>': "<p>a</p>",
    "<style>*{background:url(//evil.example)}</style>a": "a",
    '<iframe src="//evil.example"></iframe>a': "a",
    '<object data="x.swf"></object><embed src="x.swf">a': "a",
    "<svg onload=alert(1)><script>alert(1)</script></svg>a": "a",
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">': "",
    '<form action="//evil.example"><input name=p><button>go</button></form>': "go",
    '<meta http-equiv="refresh" content="0;url=//evil.example">a': "a",
    '<base href="//evil.example/"><a href="x">a</a>': f'<a href="{BASE}x" rel="noopener noreferrer">a</a>',
    '<link rel=stylesheet href="//evil.example/x.css">a': "a",
    "<!--[if IE]><script>alert(1)</script><![endif]-->a": "a",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">': '"&gt;',
    "<p onclick='alert(1)' onmouseover=alert(1) id=a class=b>a": "<p>a</p>",
    '<a href="/x" target="_blank">a</a>': '<a href="https://example.org/x" rel="noopener noreferrer">a</a>',
    "<p>a &amp; b < c": "<p>a &amp; b &lt; c</p>",
    "<details open ontoggle=alert(1)><summary>a</summary></details>": "<details><summary>a</summary></details>",
    '<video src="x" onerror=alert(1)>a</video>': "a",
}
HARMLESS_TITLES = {
    "AT&amp;T": "AT&T",
    "a <b>bold</b>\n title": "a bold title",
    "<script>alert(1)</script>News": "News",
    "3 < 5 & 6 > 2": "3 < 5 & 6 > 2",
    "&lt;script&gt;alert(1)&lt;/script&gt;": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<img src=x onerror=alert(1)>": "",
}


def entry(**changes: Any) -> dict[str, Any]:
    return ENTRY | changes


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_taken_out_of_html(attack: str) -> None:
    cleaned = clean_html(attack, BASE)
    assert not any(word in cleaned.lower() for word in ("<script", "javascript:", "vbscript:", "evil.example", " on"))
    if "noscript" not in attack:
        assert cleaned == ATTACKS[attack]


def test_titles_are_plain_text() -> None:
    assert {title: without_markup(title) for title in HARMLESS_TITLES} == HARMLESS_TITLES


def test_an_entry_fills_a_unified_record() -> None:
    fields = default_fields(
        entry(
            authors=[
                {"name": "Ann", "email": None, "url": None},
                {"name": None, "email": "b@example.org", "url": None},
            ],
            content=[{"type": "text/plain", "value": "plain"}, {"type": "text/html", "value": '<a href="2">b</a>'}],
            summary="short",
            categories=[{"term": term, "scheme": None, "label": None} for term in ("x", "y", "x")],
            enclosures=[
                {"url": "https://example.org/a.mp3", "type": "audio/mpeg", "length": "1"},
                {"url": "javascript:alert(1)", "type": None, "length": None},
            ],
            published_parsed="2024-01-03T12:00:00Z",
            updated_parsed="2024-01-04T12:00:00Z",
        )
    )
    record = UnifiedRecord.model_validate(fields)
    assert (record.record_key, record.title, record.url) == ("f:1", "A", "https://example.org/1")
    assert record.body == f'<a href="{BASE}2" rel="noopener noreferrer">b</a>'
    assert (record.author, record.category, record.tags) == ("Ann, b@example.org", "x", ["x", "y"])
    assert record.occurred_at == datetime(2024, 1, 3, 12, tzinfo=UTC)
    assert record.attributes == {
        "feed_url": BASE,
        "feed_title": "Feed",
        "guid": "1",
        "updated": "2024-01-04T12:00:00Z",
        "enclosures": [{"url": "https://example.org/a.mp3", "type": "audio/mpeg", "length": "1"}],
    }


def test_an_entry_with_nothing_gives_no_field() -> None:
    nothing = default_fields(entry(title=None, link=None, guid=None, feed={"url": BASE, "title": None}))
    assert nothing == {"record_key": "f:1", "attributes": {"feed_url": BASE}}


def test_a_time_without_a_zone_is_read_in_the_sources_zone() -> None:
    payload = entry(updated_parsed="2024-01-03T12:00:00")
    assert default_fields(payload)["occurred_at"] == datetime(2024, 1, 3, 12, tzinfo=UTC)
    assert default_fields(payload, "Europe/Berlin")["occurred_at"] == datetime(2024, 1, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "//example.org", "data:text/html,x", "http://[", None])
def test_only_http_links_become_urls(link: str | None) -> None:
    assert "url" not in default_fields(entry(link=link))


def test_plain_text_becomes_html_that_shows_it() -> None:
    payload = entry(content=[{"type": "text/plain", "value": "if a < b: <script>alert(1)</script>"}])
    assert default_fields(payload)["body"] == "if a &lt; b: &lt;script&gt;alert(1)&lt;/script&gt;"


def test_content_that_is_no_text_gives_way_to_the_summary() -> None:
    payload = entry(content=[{"type": "image/png", "value": "iVBORw0KGgo="}], summary="<p>short")
    assert default_fields(payload)["body"] == "<p>short</p>"


@pytest.mark.parametrize(
    ("base", "expected"),
    [("http://example.com/a/", "http://example.com/a/x"), ("javascript:", f"{BASE}x"), ("http://[", f"{BASE}x")],
)
def test_references_are_relative_to_the_base_that_the_feed_names(base: str, expected: str) -> None:
    body = default_fields(entry(summary='<img src="x">', base=base))["body"]
    assert body == f'<img src="{expected}">'


def test_mapped_fields_are_made_harmless_too() -> None:
    mapped: dict[str, object] = {
        "body": '<img src="x" onerror=alert(1)>',
        "url": "javascript:alert(1)",
        "title": "<b>a",
        "value": "<1",
    }
    safe = {"body": f'<img src="{BASE}x">', "url": None, "title": "a", "value": "<1"}
    assert safe_mapped(ENTRY, mapped) == safe


def test_tags_are_labels_or_terms_without_markup() -> None:
    categories = [("t1", "Label"), ("<b>t2</b>", None), ("<script>", None)]
    payload = entry(categories=[{"term": term, "scheme": None, "label": label} for term, label in categories])
    assert default_fields(payload)["tags"] == ["Label", "t2"]


def test_the_key_is_the_one_given_at_reading() -> None:
    assert default_key(ENTRY) == "f:1"
    with pytest.raises(RecordRejected):
        default_key(entry(_key=None))
