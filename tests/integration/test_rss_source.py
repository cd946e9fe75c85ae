"""Feeds over real HTTP on loopback, in whole runs and alone: what is asked, what is kept, what goes wrong by itself."""

import asyncio
import gzip
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import PassExpiredError, SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.http.contract import HttpPolicy
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, ReadsDocuments, Start
from kasparro.ingestion.sources.rss.fields import default_fields, default_key
from kasparro.ingestion.sources.rss.options import RssOptions
from kasparro.ingestion.sources.rss.source import RssSource
from kasparro.ingestion.transform import Transformer
from tests.feeds import numbered, read, records_of, rss
from tests.fix_http import Http
from tests.http_server import Close, Reply, Reset, Upstream, Wait, answer, gzipped, head, raw
from tests.http_server import Request as Asked
from tests.scripted import LENIENT

PATIENT = HttpPolicy(requests=1000, allow_private=True, attempts=2, max_body_bytes=1_000_000)
Make = Callable[..., RssSource]


@pytest.fixture
def make(http: Http) -> Make:
    """Makes a source over these URLs."""

    def source(*urls: str, **options: Any) -> RssSource:
        return RssSource(RssOptions("news", urls, **options), http.fetcher(PATIENT, source="news"), default_fields)

    return source


def job_of(source: RssSource) -> SourceJob:
    return SourceJob(
        source=source,
        transformer=Transformer(source.normalize, default_key),
        reject_limit=LENIENT,
        identity={"type": "rss"},
        config_hash="1",
        mapping_hash="00" * 16,
        mapping_text="{}",
    )


async def run(options: ConnectionOptions, source: RssSource) -> RunOutcome:
    return await run_source(job_of(source), Request(), Conditions(options))


def counts(outcome: RunOutcome, *names: str) -> list[int]:
    assert outcome.row is not None
    return [outcome.row[name] for name in names]


def feed(body: bytes, **headers: str) -> Reply:
    return answer(200, body, {"Content-Type": "application/rss+xml", **headers})


def conditional(body: bytes, etag: str) -> Callable[[Asked], Reply]:
    """A server that knows 304."""
    given = {"ETag": etag, "Last-Modified": "Wed, 03 Jan 2024 12:00:00 GMT"}
    return lambda asked: answer(304, b"", given) if asked.headers.get("if-none-match") == etag else feed(body, **given)


async def settle(source: RssSource) -> FinalBatch:
    """A first pass over the only feed; its end."""
    final = (await read(source, (await source.partitions())[0]))[-1]
    assert isinstance(final, FinalBatch)
    return final


async def again(source: RssSource, state: dict[str, Any]) -> list[Batch | FinalBatch]:
    return await read(source, (await source.partitions())[0], Start(settled=state))


async def test_a_feed_that_has_not_changed_costs_one_conditional_request(upstream: Upstream, make: Make) -> None:
    source = make(upstream.on("/feed", conditional(numbered(3), '"a"')))
    first = await settle(source)
    assert (first.coverage, first.state["etag"]) == ("window", '"a"')
    assert await again(source, first.state) == [FinalBatch(first.state, "none")]
    asked = upstream.last("/feed").headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"a"', "Wed, 03 Jan 2024 12:00:00 GMT")
    assert "application/feed+json" in asked["accept"]


async def test_the_same_document_under_a_new_etag_is_not_read_again(upstream: Upstream, make: Make) -> None:
    source = make(upstream.on("/feed", feed(numbered(3), ETag='"a"'), feed(numbered(3), ETag='"b"')))
    first = await settle(source)
    assert await again(source, first.state) == [FinalBatch(first.state | {"etag": '"b"'}, "none")]


async def test_a_document_that_breaks_off_overwrites_no_record_with_half_an_entry(
    upstream: Upstream, make: Make, database: ConnectionOptions, connection: Connection
) -> None:
    whole = numbered(20)
    half = whole[: whole.index(b"<description>Text 10")]
    answers = [feed(whole, ETag='"1"'), feed(half, ETag='"2"'), feed(half, ETag='"2"'), feed(whole, ETag='"2"')]
    source = make(upstream.on("/feed", *answers))
    assert counts(await run(database, source), "fetched", "inserted") == [20, 20]
    with capture_logs() as logs:
        assert counts(await run(database, source), "fetched", "unchanged", "updated") == [9, 9, 0]
    (warned,) = (log for log in logs if log["event"] == "feed.malformed")
    assert warned["message"].endswith("read as far as possible; the entry in which it breaks off is left out")
    assert await connection.fetchval("select count(*) from unified_data where body is null") == 0
    assert counts(await run(database, source), "fetched") == [0]
    assert counts(await run(database, source), "fetched", "unchanged", "updated") == [20, 20, 0]
    asked = [request.headers.get("if-none-match") for request in upstream.requests if request.path == "/feed"]
    assert asked == [None, '"1"', None, None], "a 304 would hide for ever what was cut off"


async def test_another_identity_policy_reads_the_same_document_anew(upstream: Upstream, make: Make) -> None:
    url = upstream.on("/feed", conditional(numbered(3), '"a"'))
    first = await settle(make(url))
    items = await again(make(url, identity="link"), first.state)
    assert len(records_of(items)) == 3
    assert "if-none-match" not in upstream.last("/feed").headers


async def test_a_pass_goes_on_inside_the_same_document_only(upstream: Upstream, make: Make) -> None:
    changed = feed(numbered(4))
    source = make(upstream.on("/feed", *[conditional(numbered(3), '"a"')] * 2, changed))
    (partition,) = await source.partitions()
    first = (await read(source, partition, Start(limits=BatchLimits(records=2))))[0]
    assert isinstance(first, Batch)
    rest = await read(source, partition, Start(settled={"etag": '"a"'}, cursor=first.cursor))
    assert [record.locator for record in records_of(rest)] == [f"{partition}#3"]
    with pytest.raises(PassExpiredError, match="the feed has changed"):
        await read(source, partition, Start(cursor=first.cursor))


async def test_a_feed_that_once_repeated_guids_keeps_its_keys(upstream: Upstream, make: Make) -> None:
    one = '<guid isPermaLink="false">g</guid><link>https://example.org/1</link>'
    two = '<guid isPermaLink="false">g</guid><link>https://example.org/2</link>'
    source = make(upstream.on("/feed", feed(rss(one, two)), feed(rss(two))))
    (partition,) = await source.partitions()
    before = await read(source, partition)
    assert isinstance(before[-1], FinalBatch)
    after = await again(source, before[-1].state)
    assert records_of(after)[0].payload["_key"] == records_of(before)[1].payload["_key"]


async def test_a_guid_that_begins_to_repeat_makes_no_new_records_of_the_others(
    upstream: Upstream, make: Make, database: ConnectionOptions
) -> None:
    items = [f'<guid isPermaLink="false">g{number}</guid><link>https://e.org/{number}</link>' for number in (1, 2, 3)]
    again = '<guid isPermaLink="false">g1</guid><link>https://e.org/4</link>'
    source = make(upstream.on("/feed", feed(rss(*items)), feed(rss(*items, again)), feed(rss(again, *items[1:]))))
    names = ("inserted", "updated", "unchanged")
    assert counts(await run(database, source), *names) == [3, 0, 0]
    assert counts(await run(database, source), *names) == [2, 0, 2]
    assert counts(await run(database, source), *names) == [0, 0, 3]


async def test_a_feed_whose_state_has_the_first_form_keeps_its_keys(upstream: Upstream, make: Make) -> None:
    items = [f'<guid isPermaLink="false">g{number}</guid><link>https://e.org/{number}</link>' for number in (1, 2)]
    source = make(upstream.on("/feed", feed(rss(*items))))
    written = {"document": "other", "identity": "guid+link", "reading": "1:auto", "ttl_minutes": None}
    read_again = await again(source, written)
    keys = [str(record.payload["_key"])[13:] for record in records_of(read_again)]
    assert keys == ["g1|https://e.org/1", "g2|https://e.org/2"]
    final = read_again[-1]
    assert isinstance(final, FinalBatch)
    assert (final.state["identity"], final.state["repeated"]) == ("guid+link", [])


async def test_credentials_are_sent_and_appear_in_no_name(upstream: Upstream, make: Make) -> None:
    upstream.on("/feed", feed(numbered(1)))
    source = make(f"http://ann:s3cret@127.0.0.1:{upstream.port}/feed?token=t0ken", secrets=["t0ken"])
    assert await source.partitions() == [f"{upstream.url}/feed?token=***"]
    record = records_of(await read(source, f"{upstream.url}/feed?token=***"))[0]
    assert "t0ken" not in str(record)
    assert "s3cret" not in str(record)
    assert upstream.last("/feed").headers["authorization"] == "Basic YW5uOnMzY3JldA=="


async def test_a_document_that_takes_too_long_is_named_and_the_next_is_read(upstream: Upstream, make: Make) -> None:
    slow = upstream.on("/slow", feed(b"<!--" + b"\n" * 400_000 + b"-->" + numbered(2)))
    good = upstream.on("/good", feed(numbered(2)))
    source = make(slow, good, parse_seconds=1.0)
    async with source.reading_ahead({slow: Start(), good: Start()}):
        with pytest.raises(SourceError) as caught:
            await read(source, slow)
        assert len(records_of(await read(source, good))) == 2
    assert caught.value.message == f"{slow}: the document took more than 1 s of computing to parse"


async def test_a_document_that_is_too_large_is_named(upstream: Upstream, make: Make) -> None:
    url = upstream.on("/feed", feed(numbered(3)))
    with pytest.raises(SourceError, match="bytes; 100 are allowed"):
        await read(make(url, max_document_bytes=100), url)


async def test_a_killed_parser_is_named_and_started_again(upstream: Upstream, make: Make) -> None:
    url = upstream.on("/feed", feed(numbered(3)))
    source = make(url)
    async with source.reading_ahead({}):
        assert len(records_of(await read(source, url))) == 3
        assert source._shared is not None
        process = source._shared[1]._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        with pytest.raises(SourceError, match="ended its parser \\(SIGKILL\\)"):
            await read(source, url)
        assert len(records_of(await read(source, url))) == 3


async def test_a_read_that_is_cancelled_ends_its_parser(upstream: Upstream, make: Make) -> None:
    slow = upstream.on("/slow", feed(b"<!--" + b"\n" * 400_000 + b"-->" + numbered(2)))
    good = upstream.on("/good", feed(numbered(2)))
    source = make(slow, good)
    async with source.reading_ahead({}):
        await read(source, good)
        assert source._shared is not None
        process = source._shared[1]._process
        assert process is not None
        reading = asyncio.create_task(read(source, slow))
        while not source._shared[1]._one_at_a_time.locked():
            await asyncio.wait([reading], timeout=0.01)
        reading.cancel()
        await asyncio.wait([reading])
        assert (reading.cancelled(), process.returncode) == (True, -signal.SIGKILL)
        assert len(records_of(await read(source, good))) == 2


async def test_downloads_run_ahead_within_bounds_and_end_with_the_reading(upstream: Upstream, make: Make) -> None:
    gate, asked = asyncio.Event(), asyncio.Semaphore(0)

    def waiting(_: Asked) -> Reply:
        asked.release()
        return raw(Wait(gate)).then(*feed(numbered(1)).steps)

    urls = [upstream.on("/0", feed(numbered(1))), *(upstream.on(f"/{n}", waiting) for n in range(1, 6))]
    source = make(*urls, ahead=2)
    others = asyncio.all_tasks()
    async with source.reading_ahead({url: Start() for url in urls}):
        await read(source, urls[0])
        for _ in range(2):
            await asked.acquire()
        fetching = {task for task in asyncio.all_tasks() - others if "_awaited" in repr(task)}
        assert (len(fetching), [upstream.count(f"/{n}") for n in range(6)]) == (2, [1, 1, 1, 0, 0, 0])
    assert all(task.cancelled() for task in fetching)
    gate.set()


async def test_what_was_fetched_for_another_start_is_fetched_anew(upstream: Upstream, make: Make) -> None:
    urls = [upstream.on(f"/{n}", conditional(numbered(2), '"a"')) for n in range(2)]
    source = make(*urls)
    state = (await settle(source)).state
    async with source.reading_ahead({urls[0]: Start(), urls[1]: Start(settled=state)}):
        await read(source, urls[0])
        assert len(records_of(await read(source, urls[1], Start()))) == 2


async def test_runs_load_what_is_new(
    database: ConnectionOptions, connection: Connection, upstream: Upstream, make: Make
) -> None:
    revised = numbered(4).replace(b"Text 2", b"Better text")
    url = upstream.on("/feed", *[conditional(numbered(3), '"a"')] * 2, conditional(revised, '"b"'))
    source = make(url)
    assert isinstance(source, ReadsDocuments)
    outcomes = [await run(database, source) for _ in range(3)]
    names = ("fetched", "inserted", "updated", "unchanged")
    assert [counts(outcome, *names) for outcome in outcomes] == [[3, 3, 0, 0], [0, 0, 0, 0], [4, 1, 1, 2]]
    assert [outcome.state for outcome in outcomes] == ["succeeded"] * 3
    rows = await connection.fetch("select record_key, body, occurred_at::text from unified_data order by id")
    assert [row["body"] for row in rows] == ["Text 1", "Better text", "Text 3", "Text 4"]
    assert all(row["record_key"].endswith(f":{number}") for number, row in enumerate(rows, 1))
    assert rows[0]["occurred_at"] == "2024-01-03 12:01:00+00"
    assert await connection.fetchval("select count(*) from raw_rss_data") == 5


async def test_a_feed_that_fails_for_ever_keeps_no_other_from_being_read(
    database: ConnectionOptions, upstream: Upstream, make: Make
) -> None:
    urls = [upstream.on("/0", answer(404)), upstream.on("/1", feed(numbered(2)), feed(numbered(3)), answer(404))]
    outcomes = [await run(database, make(*urls)) for _ in range(3)]
    assert [outcome.state for outcome in outcomes] == ["failed"] * 3
    assert [counts(outcome, "inserted", "unchanged") for outcome in outcomes] == [[2, 0], [1, 2], [0, 0]]
    assert [outcome.row and outcome.row["resumes_run_id"] for outcome in outcomes] == [None] * 3


async def test_a_failed_feed_keeps_what_its_last_complete_pass_left_behind(
    database: ConnectionOptions, upstream: Upstream, make: Make
) -> None:
    known = conditional(numbered(2), '"a"')
    source = make(upstream.on("/feed", known, answer(503), answer(503), known))
    outcomes = [await run(database, source) for _ in range(3)]
    assert [outcome.state for outcome in outcomes] == ["succeeded", "failed", "succeeded"]
    assert upstream.last("/feed").headers["if-none-match"] == '"a"'
    assert counts(outcomes[2], "fetched") == [0]


def bomb() -> bytes:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    item = "<rss><channel><item><title>&e9;</title></item></channel></rss>"
    return f'<!DOCTYPE rss [<!ENTITY e0 "ha">{levels}]>{item}'.encode()


def hostile_replies() -> dict[str, Reply]:
    """Ten feeds that go wrong, each in its own way."""
    outside = b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><item><title>&x;</title></item>'
    return {
        "html": answer(200, b"<!DOCTYPE html><html><body>Please sign in</body></html>", {"Content-Type": "text/html"}),
        "empty": feed(b""),
        "entities": feed(bomb()),
        "outside": feed(outside + b"</channel></rss>"),
        "half gzip": feed(gzipped(numbered(50))[:200], **{"Content-Encoding": "gzip"}),
        "gzip bomb": feed(gzip.compress(b" " * 5_000_000), **{"Content-Encoding": "gzip"}),
        "error": answer(500, b"sorry"),
        "reset": raw(Reset()),
        "truncated": raw(head(200, {"Content-Length": "5000"}), numbered(2), Close()),
        "blank lines": feed(b"<!--" + b"\n" * 300_000 + b"-->" + numbered(2)),
    }


async def test_twenty_good_feeds_load_beside_ten_hostile_ones(
    database: ConnectionOptions, connection: Connection, upstream: Upstream, make: Make
) -> None:
    good = [upstream.on(f"/good{n}", feed(numbered(5))) for n in range(20)]
    bad = [upstream.on(f"/bad{n}", reply) for n, reply in enumerate(hostile_replies().values())]
    mixed = [url for pair in zip(good[:10], bad, strict=True) for url in pair] + good[10:]
    outcome = await run(database, make(*mixed, parse_seconds=1.0))

    assert (outcome.state, counts(outcome, "fetched", "inserted", "rejected")) == ("failed", [100, 100, 0])
    loaded = await connection.fetch(
        "select attributes ->> 'feed_url' as url, count(*) as records from unified_data group by 1"
    )
    assert {row["url"]: row["records"] for row in loaded} == dict.fromkeys(good, 5)
    assert outcome.error is not None
    assert [url for url in bad if url not in outcome.error.message] == []
