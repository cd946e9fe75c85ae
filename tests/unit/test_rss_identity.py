"""By what entries are told from each other, and what a feed's URL has to do with it."""

import json
from hashlib import blake2b
from typing import Any

import pytest

from kasparro.core.errors import ConfigurationError
from kasparro.ingestion.http.contract import Validators
from kasparro.ingestion.sources.rss.document import Request, parse_document
from kasparro.ingestion.sources.rss.identity import Repeated, guid_hash
from kasparro.ingestion.sources.rss.options import RssOptions, partition_name
from kasparro.ingestion.sources.rss.progress import Cursor, Known, Settled, reading
from tests.feeds import rss

FEED = "https://example.org/feed.xml"
PREFIX = "fa3a87b32920"
A = blake2b(b"a", digest_size=6).hexdigest()


def keys(*items: str, identity: Any = "auto", feed: str = FEED) -> list[str | None]:
    document = parse_document(rss(*items), Request(feed, "application/xml", identity))
    return [entry.get("_key") for entry in document.entries]


def own(*items: str, identity: Any = "auto") -> list[str]:
    """Keys without what stands for the feed."""
    return [str(key).removeprefix(f"{PREFIX}:") for key in keys(*items, identity=identity)]


def item(guid: str | None = None, link: str | None = None, title: str = "t") -> str:
    parts = [f'<guid isPermaLink="false">{guid}</guid>' if guid else "", f"<link>{link}</link>" if link else ""]
    return "".join(parts) + f"<title>{title}</title>"


def test_the_prefix_stands_for_the_feed() -> None:
    assert blake2b(FEED.encode(), digest_size=6).hexdigest() == PREFIX
    assert keys(item("1")) == [f"{PREFIX}:1"]
    assert keys(item("1"), feed="https://example.com/") != keys(item("1"))


def test_a_guid_is_enough() -> None:
    assert own(item("a", "https://example.org/1"), item("b", "https://example.org/1")) == ["a", "b"]


def test_the_link_counts_for_the_entries_whose_guid_repeats_and_for_no_others() -> None:
    items = [item("a", "https://example.org/1"), item("b", "https://example.org/2"), item("a", "https://example.org/3")]
    assert own(*items) == ["a|https://example.org/1", "b", "a|https://example.org/3"]
    document = parse_document(rss(*items), Request(FEED, None, "auto"))
    assert (document.repeated, document.found) == ([A], Repeated("a", 1, 3))


def test_a_guid_known_to_repeat_keeps_its_key_when_it_stands_alone() -> None:
    items = [item("a", "https://example.org/1"), item("b", "https://example.org/2")]
    document = parse_document(rss(*items), Request(FEED, None, "auto", [A]))
    assert [entry.get("_key") for entry in document.entries] == [f"{PREFIX}:a|https://example.org/1", f"{PREFIX}:b"]
    assert (document.repeated, document.found) == ([A], None)


def test_a_repeated_guid_is_told_of_once_and_each_is_remembered() -> None:
    items = [item(guid, f"https://example.org/{number}") for number, guid in enumerate("abab")]
    document = parse_document(rss(*items), Request(FEED, None, "auto", [A]))
    assert (document.repeated, document.found) == ([A, guid_hash("b")], Repeated("b", 2, 4))


def test_other_policies_remember_no_guids() -> None:
    items = [item("a", "https://example.org/1"), item("a", "https://example.org/2")]
    assert parse_document(rss(*items), Request(FEED, None, "guid+link")).repeated == []


def test_beyond_the_limit_the_guids_that_were_not_seen_for_longest_are_forgotten() -> None:
    known = [A, *(f"{number:012x}" for number in range(9_999))]
    items = [item("a", "https://example.org/1"), *(item("b", f"https://example.org/{link}") for link in "12")]
    document = parse_document(rss(*items), Request(FEED, None, "auto", known))
    assert document.repeated == [*known[2:], A, guid_hash("b")]


def test_state_in_its_first_form_keeps_guid_and_link_for_the_whole_feed() -> None:
    state = {"document": "d", "etag": None, "last_modified": None, "identity": "guid+link", "reading": "1:auto"}
    settled = Settled.from_json(state | {"ttl_minutes": None})
    cursor = Cursor.from_json({"document": "d", "entries": 2, "identity": "guid+link", "reading": "1:auto"})
    assert settled is not None
    assert cursor is not None
    assert settled.known == cursor.known == Known("guid+link", [])
    assert reading("auto") == settled.reading


def test_what_is_remembered_survives_json() -> None:
    known = Known("auto", [A])
    assert Cursor.from_json(json.loads(json.dumps(Cursor("d", 2, known, "1:auto").to_json()))) == (
        Cursor("d", 2, known, "1:auto")
    )
    settled = Settled("d", Validators(), known, "1:auto", None)
    assert Settled.from_json(json.loads(json.dumps(settled.to_json()))) == settled


def test_an_entry_that_stands_there_twice_has_one_key_and_is_no_repetition() -> None:
    twice = item("a", "https://example.org/1")
    assert own(twice, twice) == ["a", "a"]


def test_entries_that_share_guid_and_link_are_told_apart_by_their_text() -> None:
    first, second = own(item("a", title="one"), item("a", title="two"))
    assert first.startswith("a|")
    assert second.startswith("a|")
    assert first != second


def test_without_a_guid_the_link_counts_and_without_it_title_and_content() -> None:
    link, text, other = own(item(link="https://example.org/1"), item(), item(title="u"))
    assert link == "https://example.org/1"
    assert len(text) == len(other) == 32
    assert text != other


def test_a_link_that_all_entries_share_is_not_enough() -> None:
    home = "https://example.org/"
    assert len(set(own(item(link=home, title="one"), item(link=home, title="two")))) == 2


def test_an_entry_with_nothing_has_no_key() -> None:
    assert keys("<pubDate>Wed, 03 Jan 2024 12:00:00 GMT</pubDate>") == [None]


def test_an_entry_that_is_only_a_file_is_told_by_it() -> None:
    assert own('<enclosure url="https://example.org/a.mp3"/>') == ["https://example.org/a.mp3"]


def test_long_and_strange_guids_are_hashed() -> None:
    assert [len(key) for key in own(item("x" * 2000), item("a\nb"), item("ä" * 400))] == [32, 32, 400]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("guid", "a"), ("guid+link", "a|https://example.org/1"), ("link", "https://example.org/1")],
)
def test_a_policy_begins_at_its_rung(policy: Any, expected: str) -> None:
    assert own(item("a", "https://example.org/1"), identity=policy) == [expected]


def test_by_content_alone() -> None:
    assert own(item("a"), identity="content") == own(item("b"), identity="content")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:word@example.org/feed?a=1#x", "https://example.org/feed?a=1"),
        ("https://example.org/feed?token=s3cret", "https://example.org/feed?token=***"),
        ("http://example.org:8080", "http://example.org:8080"),
    ],
)
def test_a_partition_is_named_without_credentials(url: str, name: str) -> None:
    assert partition_name(url, ["s3cret"]) == name


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        (("https://a:b@example.org/", "https://c:d@example.org/"), "source n: https://example.org/: is listed twice"),
        (("ftp://example.org/",), "source n: ftp://example.org/: must be http(s)"),
    ],
)
def test_urls_that_cannot_be_partitions_are_refused(urls: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RssOptions("n", urls)
    assert caught.value.message == message
