"""What `GET /data` understands and refuses beyond comparisons: formats, fields, totals, cursors, tags, mistakes."""

import base64
import csv
import io
import json
from typing import Any

import httpx
import pytest

from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, Pool, create_pool

pytestmark = pytest.mark.usefixtures("records")


async def names(client: httpx.AsyncClient, query: str) -> list[str]:
    response = await client.get(f"/data?{query}")
    assert response.status_code == 200, response.text
    return [record["record_key"] for record in response.json()["data"]]


async def refusals(client: httpx.AsyncClient, query: str) -> dict[str, str]:
    response = await client.get(f"/data?{query}")
    assert response.status_code == 400, response.text
    assert response.json()["code"] == "parameter"
    return {item["parameter"]: item["detail"] for item in response.json()["errors"]}


@pytest.fixture
async def hostile(connection: Connection, records: None) -> None:  # noqa: ARG001  it comes after them
    """A record whose texts look like operators, formulas and markup."""
    await connection.execute("""
        insert into unified_data
            (source_id, record_key, title, body, author, value, attributes, content_hash, record_hash, raw_id, run_id,
             pass_id, mapping_version, first_seen_at, last_changed_at)
        values (1, '=1+1', 'gt.5', E'not.\\\\a*b\\n,"x"', '@SUM(A1)', -5,
                '{"n": -4.50, "t": "-4.50", "big": 1e400, "f": "+cmd", "none": null, "on": true}',
                '', '', 9, 3, 2, 1, now(), now())
    """)


async def test_all_mistakes_are_said_at_once(client: httpx.AsyncClient) -> None:
    assert set(await refusals(client, "limit=0&zzz=1&value=x&sort=tags")) == {"limit", "zzz", "value", "sort"}
    assert await refusals(client, "cursor=abc") == {"cursor": "not a cursor of this service"}


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("title=eq.gt.5", True),
        ("title=gt.5", True),  # an operator: later than "5"
        ("title=in.(gt.5)", True),
        ("title=like.gt.*", True),
        ("body=eq.not.%5Ca*b%0A,%22x%22", True),
        ("body=like.not.%5C%5Ca%5C*b*", True),
        ('body=in.("not.%5C%5Ca*b%0A,%5C%22x%5C%22")', True),
        ("author=@SUM(A1)", True),
        ("value=-5.0", True),
        ("attributes.n=-4.50", True),
        ("attributes.n=-4.5", False),  # compared as text
        ("attributes.n=gte.-4.5", True),
        ("attributes.t=lte.-4.5", True),
        ("attributes.big=gt.1e100", True),
        ("attributes.f=gt.1", False),
        ("attributes.f=gt.1x", False),
        ("attributes.on=is.true", True),
        ("attributes.on=is.false", False),
        ("attributes.on=true", True),
        ("attributes.none=is.null", True),
        ("attributes.none.deeper=is.notnull", False),
        ("q=GT.", True),
        ("q=A*B", True),
    ],
)
async def test_texts_that_look_like_something_else(client: httpx.AsyncClient, query: str, found: bool) -> None:
    assert ("=1+1" in await names(client, query)) is found


async def test_tags_are_asked_for_one_by_one(client: httpx.AsyncClient) -> None:
    assert await names(client, "tags=a") == ["q1"]
    assert await names(client, "tags=a&tags=b") == ["q1"]
    assert await names(client, "tags=a&tags=c") == []
    assert await names(client, "tags=in.(c,b)") == ["q1"]
    assert await names(client, "tags=neq.a") == []
    assert await names(client, "tags=neq.c") == ["q1"]
    assert await names(client, "tags=is.null") == ["q2", "n1", "n2", "q3"]
    assert await names(client, "tags=ilike.B*") == ["q1"]


async def test_sources_are_names_or_types(client: httpx.AsyncClient) -> None:
    assert await names(client, "source=in.(news,csv)") == ["q1", "q2", "n1", "n2", "q3"]
    assert await names(client, "source=neq.csv") == ["n1", "n2"]
    assert await names(client, "source=like.n*") == ["n1", "n2"]
    assert await names(client, "source=quakes&source_type=rss") == []


async def test_text_is_found_in_the_form_that_it_is_stored_in(client: httpx.AsyncClient) -> None:
    assert await names(client, "title=like.Cafe%CC%81*") == ["q1"]
    assert await names(client, "q=CAFE%CC%81") == ["q1"]


async def test_what_makes_no_difference_in_a_sort_is_let_pass(client: httpx.AsyncClient) -> None:
    assert await names(client, "sort=-id,title") == ["q3", "n2", "n1", "q2", "q1"]
    assert await names(client, "sort=-source,source,-id") == ["q3", "q2", "q1", "n2", "n1"]


async def test_fields_are_given_as_asked(client: httpx.AsyncClient) -> None:
    page = (await client.get("/data?fields=value,id,attributes.depth,attributes.none&limit=1")).json()
    assert [list(record.items()) for record in page["data"]] == [
        [("value", "12345678901234567890.1203"), ("id", 1), ("attributes.depth", "26.49"), ("attributes.none", None)]
    ]


async def test_ndjson_is_a_record_a_line(client: httpx.AsyncClient) -> None:
    by_name = await client.get("/data?limit=2&fields=id,title&format=ndjson")
    by_header = await client.get("/data?limit=2&fields=id,title", headers={"Accept": "application/x-ndjson"})
    assert by_name.headers["content-type"] == by_header.headers["content-type"] == "application/x-ndjson"
    assert by_name.text == by_header.text
    assert [json.loads(line)["id"] for line in by_name.text.splitlines()] == [1, 2]
    assert by_name.text.endswith("\n")
    assert "cursor=" in by_name.links["next"]["url"]


@pytest.mark.usefixtures("hostile")
async def test_csv_has_a_header_and_no_formulas(client: httpx.AsyncClient) -> None:
    response = await client.get(
        "/data?format=csv&id=gt.6&fields=id,record_key,title,author,value,tags,attributes.f,attributes.t,unit"
    )
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["content-disposition"] == 'attachment; filename="data.csv"'
    assert response.text == (
        "id,record_key,title,author,value,tags,attributes.f,attributes.t,unit\r\n7,'=1+1,gt.5,'@SUM(A1),-5,[],'+cmd,-4.50,\r\n"
    )


async def test_csv_has_all_columns_of_a_record(client: httpx.AsyncClient) -> None:
    rows = list(csv.DictReader(io.StringIO((await client.get("/data?format=csv")).text)))
    records = (await client.get("/data")).json()["data"]
    assert list(rows[0]) == list(records[0])
    assert [row["record_key"] for row in rows] == ["q1", "q2", "n1", "n2", "q3"]
    assert (rows[0]["title"], rows[0]["tags"], rows[0]["attributes"]) == (
        'Café "Ö" \\',
        '["a","b"]',
        '{"depth": "26.49"}',
    )
    assert rows[0]["last_changed_at"] == "2026-01-02T03:04:05.678901Z"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html, application/xhtml+xml;q=0.9, */*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("APPLICATION/JSON; charset=utf-8", "application/json"),
        ("application/jsonl", "application/x-ndjson"),
        ("", "application/json"),
    ],
)
async def test_accept_chooses_the_format(client: httpx.AsyncClient, accept: str, media_type: str) -> None:
    response = await client.get("/data", headers={"Accept": accept})
    assert response.headers["content-type"].partition(";")[0] == media_type
    assert "Accept" in response.headers["vary"]


@pytest.mark.parametrize("accept", ["application/xml", "text/html;q=1", "application/json;q=0", "*/*;q=0.000", "json"])
async def test_a_format_that_does_not_exist_is_a_406(client: httpx.AsyncClient, accept: str) -> None:
    response = await client.get("/data", headers={"Accept": accept})
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert "application/x-ndjson" in response.json()["detail"]
    assert (await client.get("/data?format=json", headers={"Accept": accept})).status_code == 200


async def total(client: httpx.AsyncClient, query: str, **headers: str) -> tuple[int | None, str]:
    page: dict[str, Any] = (await client.get(f"/data?{query}", headers=headers)).json()["page"]
    return page["total"], page["total_kind"]


async def test_totals_are_counted_when_asked(client: httpx.AsyncClient, connection: Connection) -> None:
    assert await total(client, "limit=2") == (None, "none")
    assert await total(client, "limit=2&count=none") == (None, "none")
    assert await total(client, "limit=2&count=exact") == (5, "exact")
    assert await total(client, "limit=1&count=exact&source=quakes&title=is.notnull") == (3, "exact")
    assert await total(client, "limit=1&offset=9&count=estimated") == (5, "exact")
    assert await total(client, "source=api&count=exact") == (0, "exact")
    await connection.execute("analyze unified_data")
    planned = await total(client, "limit=1&count=planned&value=gt.0")
    assert planned[1] == "planned"
    assert planned[0] is not None


async def test_many_are_estimated(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("""
        insert into unified_data (source_id, record_key, content_hash, record_hash, raw_id, run_id, pass_id,
                                  mapping_version, first_seen_at, last_changed_at)
        select 1, n, '', '', 1, 1, 1, 1, now(), now() from generate_series(1, 11000) n;
        analyze unified_data
    """)
    number, kind = await total(client, "count=estimated&limit=1")
    assert kind == "estimated"
    assert number is not None
    assert 10_001 <= number < 12_000


async def test_prefer_asks_for_a_total_and_is_answered(client: httpx.AsyncClient) -> None:
    response = await client.get("/data?limit=2", headers={"Prefer": "respond-async, count=exact"})
    assert response.json()["page"]["total"] == 5
    assert response.headers["preference-applied"] == "count=exact"
    assert "Prefer" in response.headers["vary"]
    both = await client.get("/data?limit=2&count=none", headers={"Prefer": "count=exact"})
    assert both.json()["page"]["total"] is None
    assert "preference-applied" not in both.headers
    assert "preference-applied" not in (await client.get("/data", headers={"Prefer": "count=many"})).headers
    assert (await client.get("/data?format=csv&limit=2&count=exact")).headers["x-total-count"] == "5"


async def test_what_has_not_changed_is_a_304(client: httpx.AsyncClient, connection: Connection) -> None:
    for url in ("/data?limit=2&sort=-value", "/data?format=csv", "/data/1"):
        first = await client.get(url)
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            again = await client.get(url, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers.get("vary") == first.headers.get("vary")
        assert (await client.get(url, headers={"If-None-Match": 'W/"other"'})).status_code == 200
        assert (await client.get(url)).headers["etag"] == tag
    before = (await client.get("/data")).headers["etag"]
    await connection.execute("update unified_data set title = 'changed' where id = 1")
    assert (await client.get("/data", headers={"If-None-Match": before})).status_code == 200


async def next_cursor(client: httpx.AsyncClient, query: str) -> str:
    return (await client.get(f"/data?{query}")).json()["page"]["next_cursor"]


async def test_a_cursor_is_for_its_own_query_only(client: httpx.AsyncClient) -> None:
    cursor = await next_cursor(client, "limit=2&sort=-value&source=quakes")
    assert await names(client, f"limit=9&fields=record_key&source=quakes&sort=-value&cursor={cursor}") == ["q3"]
    for other in ("sort=-value", "sort=value&source=quakes", "sort=-value&source=quakes&q=x", "sort=-value&source=csv"):
        problems = await refusals(client, f"{other}&cursor={cursor}")
        assert "other filters or another sort" in problems["cursor"]


async def test_a_forged_cursor_is_refused(client: httpx.AsyncClient) -> None:
    cursor = await next_cursor(client, "limit=2")
    data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = base64.urlsafe_b64encode(data[:-2] + b"9]").rstrip(b"=").decode()
    assert await refusals(client, f"cursor={forged}") == {"cursor": "not a cursor of this service"}


async def test_a_cursor_of_a_key_that_is_gone_has_expired(client: httpx.AsyncClient, pool: Pool) -> None:
    cursor = await next_cursor(client, "limit=2")
    other = httpx.ASGITransport(create_app(pool), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=other, base_url="http://kasparro") as stranger:
        response = await stranger.get(f"/data?cursor={cursor}")
    assert (response.status_code, response.json()["code"]) == (410, "cursor_expired")


async def test_a_value_too_long_to_page_by_is_said(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update unified_data set value = 10::numeric ^ 20000")
    assert "too long to page by" in (await refusals(client, "sort=value&limit=1"))["sort"]
    assert len(await names(client, "sort=value")) == 5


async def test_long_texts_are_sorted_by_their_beginning(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update unified_data set body = repeat('é', 200) || (10 - id)")
    cursor = await next_cursor(client, "sort=body&limit=2")
    assert len(cursor) < 700
    assert await names(client, f"sort=body&cursor={cursor}") == ["n1", "n2", "q3"]


async def test_one_record_by_its_id(client: httpx.AsyncClient) -> None:
    body = (await client.get("/data/2", headers={"X-Request-ID": "r3"})).json()
    assert body["data"] == (await client.get("/data?id=2")).json()["data"][0]
    assert (body["request_id"], body["api_latency_ms"] > 0, len(body)) == ("r3", True, 3)


@pytest.mark.parametrize("path", ["/data/3", "/data/99", "/raw/99", f"/data/{2**63}", f"/raw/{10**29}"])
async def test_what_is_deleted_or_never_was_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/data/x", "/raw/1.0", "/data/1_0", "/raw/%00", "/data/%D9%A1", "/data/1?x=1", "/raw/1?x=1"]
)
async def test_an_id_is_a_plain_number_and_takes_no_parameters(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (400, "parameter")


async def test_a_payload_as_it_came(client: httpx.AsyncClient, connection: Connection) -> None:
    for number, (table, source) in enumerate([("raw_csv_data", 1), ("raw_rss_data", 2), ("raw_api_data", 1)], 5):
        payload = f'{{"depth": 1.50, "n": {number}}}'
        await connection.execute(
            f"insert into {table} "
            "(id, source_id, run_id, record_key, payload, content_hash, locator, prev_raw_id, fetched_at) "
            "values ($1, $2, 3, 'q1', $3, '', 'quakes.csv:2', 4, '2026-01-02T03:04:05.5Z')",
            number,
            source,
            payload,
        )
    response = await client.get("/raw/5")
    assert response.json()["data"] == {
        "id": 5,
        "source": "quakes",
        "source_type": "csv",
        "record_key": "q1",
        "locator": "quakes.csv:2",
        "fetched_at": "2026-01-02T03:04:05.500000Z",
        "run_id": 3,
        "prev_raw_id": 4,
        "payload": {"n": 5, "depth": 1.5},
    }
    assert '"depth": 1.50' in response.text
    assert [(await client.get(f"/raw/{number}")).json()["data"]["payload"]["n"] for number in (6, 7)] == [6, 7]
    assert (await client.get("/raw/5", headers={"If-None-Match": response.headers["etag"]})).status_code == 304


async def test_a_query_that_takes_too_long_is_a_422_that_names_it(
    database: ConnectionOptions, connection: Connection
) -> None:
    settings = {"statement_timeout": "100ms"}
    pool = await create_pool(database, application_name="kasparro:test-api", max_size=2, server_settings=settings)
    transport = httpx.ASGITransport(create_app(pool), raise_app_exceptions=False)
    await connection.execute("begin; lock table unified_data in access exclusive mode")
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
        response = await client.get("/data")
        await connection.execute("rollback")
        assert (response.status_code, response.json()["code"]) == (422, "query_timeout")
        assert "ask for less" in response.json()["detail"]
        assert (await client.get("/data")).status_code == 200
    await pool.close()


async def test_the_first_day_that_is_shown_can_be_asked_for(client: httpx.AsyncClient, connection: Connection) -> None:
    await connection.execute("update unified_data set occurred_at = '0001-01-01T00:00Z' where record_key = 'n1'")
    for query in ("0001-01-01", "0001-01-01T00:00:00.000000Z", "in.(0001-01-01)", "lt.0001-01-02"):
        found = (await client.get(f"/data?occurred_at={query}")).json()["data"]
        assert [(each["record_key"], each["occurred_at"]) for each in found] == [("n1", "0001-01-01T00:00:00.000000Z")]
    assert await names(client, "occurred_at=lte.0001-01-01T00:00%2B14:00") == []
    assert await names(client, "occurred_at=lt.9999-12-31T23:59:60Z") == ["q1", "q2", "n1"]
    first = await client.get("/data?sort=occurred_at&limit=1")
    following = (await client.get(first.links["next"]["url"])).json()["data"]
    assert (first.json()["data"][0]["record_key"], following[0]["record_key"]) == ("n1", "q2")
