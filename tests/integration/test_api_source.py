"""The API source against real servers on loopback, alone and in whole runs over a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.canonical import hash_text
from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import PassExpiredError, SourceError, UpstreamError
from kasparro.ingestion.coordinator import Request as RunRequest
from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import (
    Batch,
    BatchLimits,
    Defect,
    FinalBatch,
    Json,
    Payload,
    RecordRejected,
    SourceRecord,
    Start,
)
from kasparro.ingestion.sources.api import (
    ApiKeyAuth,
    ApiOptions,
    ApiSource,
    BearerAuth,
    CursorPagination,
    Incremental,
    NextUrlPagination,
    PagePagination,
)
from kasparro.ingestion.transform import Transformer
from tests.api_pages import KINDS, PAGINATIONS, Allowance, Collection, Kind, client, options_of, reply, source_of
from tests.fix_http import Waits
from tests.http_server import Close, Reply, Request, Reset, Upstream, Wait, answer, head, raw, running
from tests.scripted import LENIENT

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
SMALL = BatchLimits(records=4)
WATCHED = Incremental("updated", "since")
PAGED: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "whole")

kinds = pytest.mark.parametrize("kind", KINDS)
paged = pytest.mark.parametrize("kind", PAGED)


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[HttpClient]:
    async with client() as opened:
        yield opened


def items(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": number, "title": f"item {number}", **more} for number in range(1, count + 1)]


def at(minute: int) -> str:
    return f"2026-11-20T10:{minute:02}:00Z"


def stamped(*minutes: int) -> list[dict[str, Any]]:
    return [{"id": number, "updated": at(minute)} for number, minute in enumerate(minutes, 1)]


async def read(source: ApiSource, start: Start | None = None) -> list[Batch | FinalBatch]:
    (partition,) = await source.partitions()
    return [item async for item in source.read(partition, start or Start())]


def batches_of(found: list[Batch | FinalBatch]) -> list[Batch]:
    return [item for item in found if isinstance(item, Batch)]


def records_of(found: list[Batch | FinalBatch]) -> list[SourceRecord]:
    return [record for batch in batches_of(found) for record in batch.records]


def ids_of(found: list[Batch | FinalBatch]) -> list[int]:
    return [record.payload["id"] for record in records_of(found)]


def final_of(found: list[Batch | FinalBatch]) -> FinalBatch:
    assert isinstance(found[-1], FinalBatch)
    return found[-1]


def through_json(value: Json) -> Json:
    return json.loads(json.dumps(value, allow_nan=False))


async def read_until_error(source: ApiSource, start: Start) -> tuple[list[Batch], SourceError]:
    """The batches handed on, and the error after them."""
    found: list[Batch] = []

    async def walk() -> None:
        async for item in source.read("", start):
            assert isinstance(item, Batch)
            found.append(item)

    with pytest.raises(SourceError) as caught:
        await walk()
    return found, caught.value


# -- pages and positions -----------------------------------------------------------------------------------------


@kinds
async def test_every_kind_of_paging_reads_all_records_in_order(
    upstream: Upstream, http: HttpClient, kind: Kind
) -> None:
    upstream.on("/items", Collection(items(23), kind))
    found = await read(source_of(http, options_of(upstream, kind)))
    assert ids_of(found) == list(range(1, 24))
    assert final_of(found).coverage == ("full" if kind == "whole" else "window")
    locators = [record.locator for record in records_of(found)]
    assert len(set(locators)) == 23
    assert all(locator.startswith(f"{upstream.url}/items") for locator in locators)


async def test_locators_name_page_and_position(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", Collection(items(6)))
    auth = ApiKeyAuth("s3cret", query="key")
    found = await read(source_of(http, options_of(upstream, auth=auth, params={"q": "x"})))
    assert records_of(found)[5].locator == f"{upstream.url}/items?q=x&page=2#2.2"
    assert upstream.requests[0].query == {"q": "x", "key": "s3cret", "page": "1"}


@kinds
async def test_resume_from_any_cursor_reads_what_followed(upstream: Upstream, http: HttpClient, kind: Kind) -> None:
    upstream.on("/items", Collection(items(23), kind))
    source = source_of(http, options_of(upstream, kind))
    found = await read(source, Start(limits=SMALL))
    for index, batch in enumerate(batches_of(found)):
        rest = await read(source, Start(cursor=through_json(batch.cursor), limits=SMALL))
        assert rest == found[index + 1 :]


async def test_small_pages_share_a_batch_and_a_large_one_is_a_batch(upstream: Upstream, http: HttpClient) -> None:
    async def sizes(size: int, records: int) -> list[int]:
        upstream.on("/items", Collection(items(23), "cursor", size))
        found = await read(source_of(http, options_of(upstream, "cursor")), Start(limits=BatchLimits(records=records)))
        return [len(batch.records) for batch in batches_of(found)]

    assert await sizes(4, 10) == [8, 8, 7]
    assert await sizes(5, 10) == [10, 10, 3]
    assert await sizes(8, 5) == [8, 8, 7]
    assert await sizes(4, 100) == [23]


async def test_batch_is_handed_on_while_the_next_page_hangs(upstream: Upstream, http: HttpClient) -> None:
    pages = Collection(items(6), "cursor")
    go_on = asyncio.Event()
    upstream.on("/items", pages, lambda request: Reply((Wait(go_on), *pages(request).steps)))
    source = source_of(http, options_of(upstream, "cursor"))
    read_ = source.read("", Start(limits=BatchLimits(seconds=0.01)))
    first = await anext(read_)
    assert isinstance(first, Batch)
    assert len(first.records) == 4
    go_on.set()
    assert ids_of([item async for item in read_]) == [5, 6]


async def test_next_page_is_asked_for_while_the_batch_is_worked_on(upstream: Upstream, http: HttpClient) -> None:
    asked = asyncio.Event()
    pages = Collection(items(6), "cursor")

    def second(request: Request) -> Reply:
        asked.set()
        return pages(request)

    upstream.on("/items", pages, second)
    read_ = source_of(http, options_of(upstream, "cursor")).read("", Start(limits=SMALL))
    await anext(read_)
    await asyncio.wait_for(asked.wait(), 5)
    assert ids_of([item async for item in read_]) == [5, 6]


async def test_hundreds_of_pages_by_next_url(upstream: Upstream, http: HttpClient) -> None:
    """The shape of Datasette: a token in `next`, an absolute URL in `next_url`, rows in `rows`."""

    def page(request: Request) -> Reply:
        start = int(request.query.get("_next", "0"))
        more = start + 10 < 3368
        url = f"{upstream.url}/flights.json?_size=10&_shape=objects&_next={start + 10}" if more else None
        rows = [{"id": number, "air_time": None} for number in range(start, min(start + 10, 3368))]
        return reply({"ok": True, "next": str(start + 10) if more else None, "rows": rows, "next_url": url})

    upstream.on("/flights.json", page)
    params = {"_shape": "objects", "_size": "10"}
    options = ApiOptions(
        "f", f"{upstream.url}/flights.json", params, records="rows", pagination=NextUrlPagination("next_url")
    )
    assert ids_of(await read(source_of(http, options))) == list(range(3368))
    assert upstream.count("/flights.json") == 337


async def test_deleting_while_pages_are_counted_proves_no_absence(upstream: Upstream, http: HttpClient) -> None:
    collection = Collection(items(10))

    def shrinking(request: Request) -> Reply:
        found = collection(request)
        if request.query["page"] == "1":
            del collection.records[0]
        return found

    upstream.on("/items", shrinking)
    found = await read(source_of(http, options_of(upstream)))
    assert (ids_of(found), final_of(found).coverage) == ([1, 2, 3, 4, 6, 7, 8, 9, 10], "window")
    upstream.on("/items", collection)
    assert 5 in ids_of(await read(source_of(http, options_of(upstream)), Start(final_of(found).state)))


async def test_pages_with_tokens_are_a_complete_pass(upstream: Upstream, http: HttpClient) -> None:
    pages = {"first": reply({"data": items(2), "meta": {"next": "b"}}), "b": reply({"data": [{"id": 3}], "meta": {}})}
    upstream.on("/items", lambda request: pages[request.query.get("cursor", "first")])
    found = await read(source_of(http, options_of(upstream, "cursor")))
    assert (ids_of(found), final_of(found).coverage) == ([1, 2, 3], "full")


# -- the end of pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["page", "offset"])
@pytest.mark.parametrize("beyond", [200, 404, 400])
async def test_numbered_pages_end_in_each_real_form(
    upstream: Upstream, http: HttpClient, kind: Kind, beyond: int
) -> None:
    upstream.on("/items", Collection(items(8), kind, beyond=beyond))
    found = await read(source_of(http, options_of(upstream, kind)))
    assert (ids_of(found), final_of(found).coverage) == (list(range(1, 9)), "window")


@paged
@pytest.mark.parametrize("status", [400, 404, 410])
async def test_first_page_is_never_the_end(upstream: Upstream, http: HttpClient, kind: Kind, status: int) -> None:
    upstream.on("/items", answer(status, "no"))
    with pytest.raises(UpstreamError, match=f"{status}"):
        await read(source_of(http, options_of(upstream, kind, end_statuses=frozenset((400, 404, 410)))))


async def test_other_statuses_end_pages_where_the_options_say_so(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", Collection(items(8), beyond=416))
    with pytest.raises(UpstreamError, match="416"):
        await read(source_of(http, options_of(upstream)))
    found = await read(source_of(http, options_of(upstream, end_statuses=frozenset((416,)))))
    assert len(ids_of(found)) == 8


async def test_named_page_that_is_not_there_is_an_error(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", Collection(items(8), "cursor"), answer(404, "gone"))
    found, error = await read_until_error(source_of(http, options_of(upstream, "cursor")), Start())
    assert isinstance(error, UpstreamError)
    assert (len(found), error.status) == (1, 404)


@kinds
async def test_nothing_at_all_is_a_complete_pass(upstream: Upstream, http: HttpClient, kind: Kind) -> None:
    upstream.on("/items", Collection([], kind))
    found = await read(source_of(http, options_of(upstream, kind)))
    assert (ids_of(found), final_of(found).coverage) == ([], "full")


async def test_answer_without_content_holds_nothing(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", answer(204))
    assert ids_of(await read(source_of(http, options_of(upstream, "whole")))) == []


async def test_server_that_ignores_the_page_is_noticed(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", reply({"data": items(4)}))
    found, error = await read_until_error(source_of(http, options_of(upstream)), Start())
    assert error.message == (
        f"{upstream.url}/items?page=2: the pages repeat: page 2 holds the same records as the page before"
    )
    assert ids_of([*found]) == [1, 2, 3, 4]


async def test_tokens_in_a_circle_are_noticed(upstream: Upstream, http: HttpClient) -> None:
    def page(request: Request) -> Reply:
        token = int(request.query.get("cursor", "0"))
        return reply({"data": [{"id": upstream.count("/items")}], "meta": {"next": token % 3 + 1}})

    upstream.on("/items", page)
    _, error = await read_until_error(source_of(http, options_of(upstream, "cursor")), Start())
    assert "names a next page that was read before" in error.message
    assert upstream.count("/items") < 12


async def test_next_page_on_another_host_is_refused_or_gets_no_credentials(
    upstream: Upstream, http: HttpClient
) -> None:
    async with running() as other:
        other.on("/items", reply({"data": [{"id": 2}]}))
        upstream.on("/items", reply({"data": [{"id": 1}], "meta": {"next": f"{other.url}/items?x=1"}}))
        options = options_of(upstream, "next_url", auth=BearerAuth("t0ken"))
        _, error = await read_until_error(source_of(http, options), Start())
        assert error.message == (
            f"{upstream.url}/items: the next page's URL leads to another host: {other.url}/items?x=1"
        )
        assert other.requests == []

        allowed = options_of(upstream, "next_url", auth=BearerAuth("t0ken"), allow_other_hosts=True)
        assert ids_of(await read(source_of(http, allowed))) == [1, 2]
        assert upstream.requests[-1].headers["authorization"] == "Bearer t0ken"
        assert "authorization" not in other.requests[-1].headers


# -- bad answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            answer(200, "<html>Sign in</html>", {"Content-Type": "text/html"}),
            "HTML instead of JSON at line 1, column 1",
        ),
        (raw(head(200, {"Connection": "close"}), b'{"data": [{"id": 1}, {"i', Close()), "the JSON is cut off"),
        (answer(200, b""), "the body is empty"),
        (answer(200, '{"error": "overloaded"}'), "no records at 'data'; an object with the keys error"),
    ],
)
async def test_bad_page_fails_with_its_url_after_the_good_ones(
    upstream: Upstream, http: HttpClient, bad: Reply, reason: str
) -> None:
    upstream.on("/items", Collection(items(8)), bad)
    found, error = await read_until_error(source_of(http, options_of(upstream)), Start())
    assert error.message.startswith(f"{upstream.url}/items?page=2: {reason}")
    assert ids_of([*found]) == [1, 2, 3, 4]


# -- windows -----------------------------------------------------------------------------------------------------


@paged
@pytest.mark.parametrize("minutes", [range(1, 11), range(10, 0, -1), (5, 9, 1, 10, 3, 2, 8, 7, 4, 6)])
async def test_watermark_is_the_greatest_time_and_moves_at_the_end_alone(
    upstream: Upstream, http: HttpClient, kind: Kind, minutes: Any
) -> None:
    upstream.on("/items", Collection(stamped(*minutes), kind))
    source = source_of(http, options_of(upstream, kind, incremental=WATCHED))
    found = await read(source, Start(limits=SMALL))
    assert [batch.cursor["window"]["since"] for batch in batches_of(found)] == [None, None, None]
    assert (final_of(found).state["watermark"], final_of(found).coverage) == (at(10), "window")
    assert "since" not in upstream.requests[0].query

    again = await read(source, Start(settled=through_json(final_of(found).state)))
    assert upstream.requests[-1].query["since"] == at(10)
    assert [record.payload["updated"] for record in records_of(again)] == [at(10)]
    assert final_of(again).state == final_of(found).state


async def test_pass_that_is_resumed_keeps_its_window(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", Collection(stamped(*range(1, 13)), "page"))
    options = options_of(upstream, incremental=Incremental("updated", "since", until_param="until"))
    clock = [NOW]
    source = source_of(http, options, now=lambda: clock[0])
    settled = final_of(await read(source)).state
    clock[0] += timedelta(hours=1)
    found = await read(source, Start(settled=settled, limits=SMALL))
    cursor = through_json(batches_of(found)[0].cursor)
    clock[0] += timedelta(hours=1)
    assert await read(source, Start(settled=settled, cursor=cursor, limits=SMALL)) == found[1:]
    asked = {(each.query["since"], each.query["until"]) for each in upstream.requests if "since" in each.query}
    assert asked == {(at(12), "2026-11-22T14:00:00Z")}


async def test_lookback_reaches_behind_the_watermark(upstream: Upstream, http: HttpClient) -> None:
    upstream.on("/items", Collection(stamped(1, 30)))
    options = options_of(upstream, incremental=Incremental("updated", "since", lookback=timedelta(minutes=10)))
    state = final_of(await read(source_of(http, options))).state
    again = await read(source_of(http, options), Start(settled=state))
    assert upstream.requests[-1].query["since"] == at(20)
    assert final_of(again).state["watermark"] == at(30)


@pytest.mark.parametrize(
    ("stamp_format", "values", "since"),
    [
        ("iso8601", ["2026-11-20T10:00:00.250+02:00", "2026-11-20T08:00:00Z"], "2026-11-20T10:00:00.250+02:00"),
        ("epoch_ms", [1795352400122, 1795352400123], "1795352400123"),
        ("epoch_s", [Decimal("1795352400.75"), 1795352400], "1795352400.75"),
        ("epoch_s", ["1795352399", "1795352400"], "1795352400"),
    ],
)
async def test_watermark_goes_out_as_it_came(
    upstream: Upstream, http: HttpClient, stamp_format: Any, values: list[Any], since: str
) -> None:
    body = json.dumps([{"id": number, "meta": {"at": str(value)}} for number, value in enumerate(values)])
    for value in values:
        if not isinstance(value, str):
            body = body.replace(f'"{value}"', str(value))
    upstream.on("/items", answer(200, body))
    options = options_of(upstream, "whole", records=None, incremental=Incremental("meta.at", "after", stamp_format))
    state = final_of(await read(source_of(http, options))).state
    await read(source_of(http, options), Start(settled=through_json(state)))
    assert upstream.requests[-1].query["after"] == since


async def test_server_may_give_times_in_one_form_and_take_them_in_another(upstream: Upstream, http: HttpClient) -> None:
    """As the USGS does: `updated` in milliseconds, `updatedafter` in ISO 8601."""
    upstream.on("/items", reply({"data": [{"id": 1, "updated": 1795352399250}]}))
    incremental = Incremental(
        "updated", "updatedafter", "epoch_ms", timedelta(minutes=1), "endtime",
        initial="1793491200000", param_format="iso8601",
    )  # fmt: skip
    source = source_of(http, options_of(upstream, "whole", incremental=incremental), now=lambda: NOW)
    state = final_of(await read(source)).state
    await read(source, Start(settled=through_json(state)))
    assert [request.query for request in upstream.requests] == [
        {"updatedafter": "2026-11-01T00:00:00Z", "endtime": "2026-11-22T13:00:00Z"},
        {"updatedafter": "2026-11-22T12:58:59.250Z", "endtime": "2026-11-22T13:00:00Z"},
    ]


async def test_records_without_a_usable_time_are_delivered_and_move_nothing(
    upstream: Upstream, http: HttpClient
) -> None:
    odd: list[Any] = [None, "soon", 7, [], {"a": 1}, "2999-01-01T00:00:00Z"]
    upstream.on("/items", reply({"data": [*stamped(3), *({"id": 9, "updated": each} for each in odd), {"id": 10}]}))
    options = options_of(upstream, "whole", incremental=WATCHED)
    found = await read(source_of(http, options, now=lambda: NOW))
    assert (len(ids_of(found)), final_of(found).state["watermark"]) == (8, at(3))


@pytest.mark.parametrize(
    ("said", "settled", "cost"),
    [
        (Incremental("updatd", "since"), None, "everything"),
        (Incremental("updated", "since", "epoch_s"), None, "everything"),
        (Incremental("late", "since"), None, "everything"),
        (Incremental("updatd", "since", initial=at(0)), None, f"what changed since {at(0)}"),
        (Incremental("updatd", "since"), at(1), f"what changed since {at(1)}"),
    ],
)
async def test_pass_in_which_no_record_can_move_the_watermark_says_so_once(
    upstream: Upstream, http: HttpClient, said: Incremental, settled: str | None, cost: str
) -> None:
    records = [each | {"late": "2999-01-01T00:00:00Z"} for each in stamped(*range(1, 11))]
    upstream.on("/items", Collection(records))
    options = options_of(upstream, incremental=said)
    state = None if settled is None else {"options": options.watching_hash(), "watermark": settled}
    with capture_logs() as logs:
        found = await read(source_of(http, options, now=lambda: NOW), Start(state, limits=SMALL))
    assert final_of(found).state["watermark"] == settled
    assert [line for line in logs if line["event"] == "api.no_watermark"] == [
        {
            "event": "api.no_watermark",
            "log_level": "warning",
            "source": "items",
            "field": said.field,
            "message": f'no record has a time at "{said.field}" that reads as {said.format} and is not in the future:'
            f" every run reads {cost} again",
        }
    ]


async def test_pass_with_one_time_or_without_records_is_not_warned_of(upstream: Upstream, http: HttpClient) -> None:
    pages = Collection([*stamped(1), *({"id": number} for number in range(2, 11))])
    upstream.on("/items", pages)
    source = source_of(http, options_of(upstream, incremental=WATCHED))
    with capture_logs() as logs:
        first = batches_of(await read(source, Start(limits=SMALL)))[0]
        await read(source, Start(cursor=through_json(first.cursor)))
        older = through_json(first.cursor)
        del older["timed"]
        await read(source, Start(cursor=older))
        pages.records = []
        await read(source)
    assert "api.no_watermark" not in [line["event"] for line in logs]


async def test_record_that_changes_behind_the_reader_is_found_by_the_next_pass(
    upstream: Upstream, http: HttpClient
) -> None:
    """Pages are sorted by id: what changes on a page that was read is older than what a later page shows."""
    clock = [NOW]
    records = [{"id": number, "updated": "2026-11-22T12:00:00Z"} for number in range(1, 9)]
    pages = Collection(records, "cursor")

    def second(request: Request) -> Reply:
        records[0]["updated"] = "2026-11-22T13:00:05Z"
        records[7]["updated"] = "2026-11-22T13:00:10Z"
        clock[0] += timedelta(seconds=20)
        return pages(request)

    upstream.on("/items", pages, second, pages)
    source = source_of(http, options_of(upstream, "cursor", incremental=WATCHED), now=lambda: clock[0])
    state = final_of(await read(source, Start(limits=SMALL))).state
    found = await read(source, Start(settled=through_json(state)))
    assert {1, 8} <= set(ids_of(found))
    assert final_of(found).state["watermark"] == "2026-11-22T13:00:10Z"


async def test_beginning_of_a_pass_survives_its_cursor(upstream: Upstream, http: HttpClient) -> None:
    late = {"Date": "Sun, 22 Nov 2026 13:10:00 GMT"}
    page = [{"id": 1, "updated": "2026-11-22T13:09:00Z"}]
    upstream.on("/items", reply({"data": page, "meta": {"next": "t"}}, late))
    clock = [NOW]
    source = source_of(http, options_of(upstream, "cursor", incremental=WATCHED), now=lambda: clock[0])
    read_ = source.read("", Start(limits=BatchLimits(records=1)))
    first = await anext(read_)
    assert isinstance(first, Batch)
    assert first.cursor["candidate"] == "2026-11-22T13:09:00Z"
    clock[0] += timedelta(hours=5)
    upstream.on("/items", reply({"data": [{"id": 2, "updated": "2026-11-22T15:00:00Z"}], "meta": {}}))
    rest = await read(source, Start(cursor=through_json(first.cursor)))
    assert (ids_of(rest), final_of(rest).state["watermark"]) == ([2], "2026-11-22T13:09:00Z")


async def test_empty_window_keeps_the_watermark(upstream: Upstream, http: HttpClient) -> None:
    pages = Collection(stamped(1, 2))
    upstream.on("/items", pages)
    source = source_of(http, options_of(upstream, incremental=WATCHED))
    state = final_of(await read(source)).state
    pages.records = stamped(1)
    assert (await read(source, Start(settled=state))) == [FinalBatch(state, "window")]


# -- what has not changed ----------------------------------------------------------------------------------------


async def test_unchanged_single_page_costs_a_conditional_request(upstream: Upstream, http: HttpClient) -> None:
    def page(request: Request) -> Reply:
        if request.headers.get("if-none-match") == '"v1"':
            return answer(304, headers={"ETag": '"v1"'})
        return reply({"data": items(3)}, {"ETag": '"v1"'})

    upstream.on("/items", page)
    source = source_of(http, options_of(upstream, "whole"))
    first = await read(source)
    resumed = await read(source, Start(cursor=through_json(batches_of(first)[-1].cursor)))
    assert resumed == first[-1:]
    again = await read(source, Start(settled=through_json(final_of(first).state)))
    assert again == [FinalBatch(final_of(first).state, "none")]
    changed = source_of(http, options_of(upstream, "whole", params={"q": "x"}))
    other = await read(changed, Start(settled=final_of(again).state))
    assert len(ids_of(other)) == 3


@paged
async def test_validators_of_one_page_of_many_are_not_used(upstream: Upstream, http: HttpClient, kind: Kind) -> None:
    pages = Collection(items(5), kind)

    def page(request: Request) -> Reply:
        assert "if-none-match" not in request.headers
        return reply({"data": items(1)}, {"ETag": '"v1"'}) if kind == "cursor" else pages(request)

    upstream.on("/items", page)
    source = source_of(http, options_of(upstream, kind))
    state = final_of(await read(source)).state
    assert state["validated"] is None
    assert len(ids_of(await read(source, Start(settled=state)))) > 0


# -- tokens that are forgotten -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cursor", "next_url", "link_header"])
@pytest.mark.parametrize(
    "said", [answer(410), answer(400), answer(404), answer(422), answer(200, '{"error": "token"}')]
)
async def test_token_that_the_server_forgot_ends_the_pass(
    upstream: Upstream, http: HttpClient, kind: Kind, said: Reply
) -> None:
    upstream.on("/items", Collection(items(8), kind))
    source = source_of(http, options_of(upstream, kind))
    cursor = batches_of(await read(source, Start(limits=SMALL)))[0].cursor
    upstream.on("/items", said)
    with pytest.raises(PassExpiredError, match=f"{upstream.url}/items"):
        await read(source, Start(cursor=cursor))


@pytest.mark.parametrize("status", [401, 403])
async def test_resume_with_a_wrong_key_is_no_forgotten_token(upstream: Upstream, http: HttpClient, status: int) -> None:
    upstream.on("/items", Collection(items(8), "cursor"))
    source = source_of(http, options_of(upstream, "cursor"))
    cursor = batches_of(await read(source, Start(limits=SMALL)))[0].cursor
    upstream.on("/items", answer(status))
    with pytest.raises(UpstreamError):
        await read(source, Start(cursor=cursor))


# -- whole runs --------------------------------------------------------------------------------------------------


def key_of(payload: Payload) -> str:
    if "id" not in payload:
        raise RecordRejected(Defect("key_missing", "no id", "id"))
    return str(payload["id"])


def job_of(source: ApiSource) -> SourceJob:
    def normalize(payload: Payload) -> dict[str, object]:
        return {"record_key": key_of(payload), "title": payload.get("title"), "value": payload.get("value")}

    return SourceJob(
        source=source,
        transformer=Transformer(normalize, key_of, None, ()),
        reject_limit=LENIENT,
        identity={"type": "api", "key": ["id"]},
        config_hash="configuration",
        mapping_hash=hash_text("mapping").hex(),
        mapping_text='{"mapping": "1"}',
    )


async def run(options: ConnectionOptions, source: ApiSource, **more: Any) -> RunOutcome:
    return await run_source(job_of(source), RunRequest(), Conditions(options, limits=SMALL, **more))


def counted(outcome: RunOutcome, *names: str) -> list[int]:
    assert outcome.row is not None, outcome.error
    return [outcome.row[name] for name in names]


async def keys_of(connection: Connection) -> list[int]:
    return [int(row[0]) for row in await connection.fetch("select record_key from unified_data order by id")]


@paged
async def test_runs_that_fail_behind_each_page_add_up_to_one(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection, kind: Kind
) -> None:
    allowance = Allowance(Collection(items(11), kind))
    upstream.on("/items", allowance)
    outcomes: list[RunOutcome] = []
    while not outcomes or outcomes[-1].state != "succeeded":
        allowance.left = 1
        outcomes.append(await run(database, source_of(http, options_of(upstream, kind))))
    numbered = [[4], [4], [3], [0]]
    assert [counted(outcome, "fetched") for outcome in outcomes] == (
        numbered if kind in ("page", "offset") else [[4], [4], [3]]
    )
    assert {outcome.state for outcome in outcomes[:-1]} == {"failed"}
    assert sum(counted(outcome, "inserted")[0] for outcome in outcomes) == 11
    assert await keys_of(connection) == list(range(1, 12))
    assert await connection.fetchval("select count(*) from raw_api_data") == 11
    assert await connection.fetchval("select count(distinct pass_id) from etl_runs") == 1


async def test_run_that_is_stopped_goes_on_where_it_was(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection
) -> None:
    pages = Collection(items(8), "cursor")
    stop = asyncio.Event()
    upstream.on("/items", pages, lambda request: Reply((Wait(stop), *pages(request).steps)), pages)
    source = source_of(http, options_of(upstream, "cursor"))
    stopped = await run(database, source, stop=stop, committed=lambda *_: stop.set())
    rest = await run(database, source)
    assert (stopped.state, rest.state) == ("cancelled", "succeeded")
    assert counted(stopped, "inserted")[0] + counted(rest, "inserted")[0] == 8
    assert await keys_of(connection) == list(range(1, 9))


async def test_ties_at_the_boundary_are_neither_lost_nor_doubled(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection
) -> None:
    pages = Collection(stamped(1, 2, 2))
    upstream.on("/items", pages)
    source = source_of(http, options_of(upstream, incremental=WATCHED))
    await run(database, source)
    pages.records = [*stamped(1, 2, 2), {"id": 4, "updated": at(2)}, {"id": 5, "updated": at(3)}]
    second = await run(database, source)
    assert counted(second, "fetched", "inserted", "unchanged", "duplicate", "raw_written") == [4, 2, 2, 0, 2]
    assert await keys_of(connection) == [1, 2, 3, 4, 5]
    third = await run(database, source)
    assert counted(third, "fetched", "unchanged", "raw_written") == [1, 1, 0]


async def test_unsorted_pass_that_dies_half_way_loses_nothing(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection
) -> None:
    """The greatest time comes first: a watermark that moved with the batches would hide the rest."""
    pages = Collection(stamped(30, 1, 2, 3, 4, 5, 6, 7, 8))
    upstream.on("/items", pages, answer(500, "no"))
    source = source_of(http, options_of(upstream, incremental=WATCHED))
    failed = await run(database, source)
    assert (failed.state, counted(failed, "fetched")) == ("failed", [4])
    upstream.on("/items", pages)
    resumed = await run(database, source)
    assert (resumed.state, counted(resumed, "fetched")) == ("succeeded", [5])
    assert await keys_of(connection) == list(range(1, 10))
    await run(database, source)
    assert upstream.requests[-2].query["since"] == at(30)


async def test_run_whose_token_expired_begins_anew_by_itself(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection
) -> None:
    pages = Collection(items(8), "cursor")
    upstream.on("/items", pages, answer(503))
    source = source_of(http, options_of(upstream, "cursor"))
    assert (await run(database, source)).state == "failed"
    upstream.on("/items", answer(410), pages)
    again = await run(database, source)
    assert (again.state, counted(again, "fetched", "inserted", "unchanged")) == ("succeeded", [8, 4, 4])
    assert await keys_of(connection) == list(range(1, 9))


@paged
async def test_run_converges_over_a_server_that_fails_in_every_way(
    upstream: Upstream, database: ConnectionOptions, connection: Connection, kind: Kind
) -> None:
    """Before each good page: 429 with Retry-After, a reset, half a body, 503. Waiting costs no time here."""
    pages = Collection(items(23), kind)
    bad: list[Reply] = [
        answer(429, headers={"Retry-After": "7"}),
        raw(Reset()),
        answer(200, '{"data": [', length=500).then(Close()),
        answer(503),
    ]
    upstream.on("/items", *[each for _ in range(8) for each in (*bad, pages)])
    waits = Waits()
    async with HttpClient(user_agent="t/1", contact="test@example.org", clock=waits.clock()) as http:
        source = source_of(http, options_of(upstream, kind), attempts=5)
        outcome = await run(database, source)
    assert (outcome.state, counted(outcome, "fetched", "inserted")) == ("succeeded", [23, 23])
    assert await keys_of(connection) == list(range(1, 24))
    assert 7.0 in waits.slept


async def test_unchanged_page_is_a_success_with_nothing_new(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions
) -> None:
    upstream.on("/items", reply({"data": items(3)}, {"ETag": '"v1"'}), answer(304))
    source = source_of(http, options_of(upstream, "whole"))
    await run(database, source)
    again = await run(database, source)
    assert (again.state, counted(again, "fetched")) == ("succeeded", [0])


async def test_numbers_reach_the_database_digit_by_digit(
    upstream: Upstream, http: HttpClient, database: ConnectionOptions, connection: Connection
) -> None:
    values = ["0.10", "12345678901234567890.1234567890123", "1e400000"]
    body = "[" + ", ".join(f'{{"id": {number}, "value": {value}}}' for number, value in enumerate(values, 1)) + "]"
    upstream.on("/items", answer(200, body))
    outcome = await run(database, source_of(http, options_of(upstream, "whole", records=None)))
    assert (outcome.state, counted(outcome, "inserted", "rejected")) == ("partial", [2, 1])
    stored = await connection.fetch("select trim_scale(value)::text from unified_data order by id")
    assert [row[0] for row in stored] == ["0.1", "12345678901234567890.1234567890123"]
    payload = await connection.fetchval("select payload ->> 'value' from raw_api_data order by id limit 1")
    assert payload == "0.10"
    locator = await connection.fetchval("select locator from rejected_records")
    assert locator == f"{upstream.url}/items#3"


def test_kinds_of_paging_are_all_covered() -> None:
    assert set(PAGINATIONS) == set(KINDS)
    assert isinstance(PAGINATIONS["page"], PagePagination)
    assert isinstance(PAGINATIONS["cursor"], CursorPagination)
