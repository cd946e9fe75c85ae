"""Filters, sorting and paging of `GET /data`, compared with the same questions in SQL."""

from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kasparro.core.database import Connection
from tests.data_queries import QUESTIONS, Question, ids, insert_records

PROPERTY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
async def rows(connection: Connection) -> None:
    await insert_records(connection)


async def walk(client: httpx.AsyncClient, query: str, limit: int) -> list[int]:
    """All ids, page by page through `Link`."""
    found: list[int] = []
    url = f"/data?limit={limit}&{query}"
    while url:
        response = await client.get(url)
        assert response.status_code == 200, f"{url}: {response.text}"
        found += [record["id"] for record in response.json()["data"]]
        url = response.links["next"]["url"] if "next" in response.links else ""
    return found


async def test_every_question_is_answered_as_by_sql(client: httpx.AsyncClient, connection: Connection) -> None:
    wrong: list[Question] = []
    some = 0
    for number, question in enumerate(QUESTIONS):
        expected = await ids(connection, question)
        some += bool(expected)
        if await walk(client, question.query, limit=1000) != expected:
            wrong.append(question)
        if await walk(client, question.query, limit=70 + number) != expected:
            wrong.append(question)
    assert wrong == []
    assert len(QUESTIONS) >= 60
    assert some >= 60


async def test_offsets_lead_through_the_same_list(client: httpx.AsyncClient) -> None:
    for query in ("sort=-occurred_at", "sort=title,-value", "category=UA"):
        whole = await walk(client, query, limit=1000)
        paged: list[int] = []
        for offset in range(0, len(whole) + 50, 50):
            page = (await client.get(f"/data?limit=50&offset={offset}&{query}")).json()
            paged += [record["id"] for record in page["data"]]
            assert page["page"]["has_more"] is (offset + 50 < len(whole))
        assert paged == whole


async def test_a_page_by_offset_gives_a_cursor_for_the_next(client: httpx.AsyncClient) -> None:
    whole = await walk(client, "sort=-value", limit=1000)
    response = await client.get("/data?sort=-value&offset=100&limit=10")
    assert "offset" not in response.links["next"]["url"]
    following = (await client.get(response.links["next"]["url"])).json()["data"]
    assert [record["id"] for record in following] == whole[110:120]


_COLUMNS = {
    "id": "u.id", "source": "s.name", "source_type": "s.type", "record_key": "u.record_key", "title": "u.title",
    "body": "u.body", "category": "u.category", "value": "u.value", "unit": "u.unit", "occurred_at": "u.occurred_at",
    "entity_key": "u.entity_key", "raw_id": "u.raw_id", "run_id": "u.run_id", "first_seen_at": "u.first_seen_at",
    "last_changed_at": "u.last_changed_at", "attributes.origin": "u.attributes->>'origin'",
    "attributes.dep_delay": "(u.attributes->>'dep_delay')::numeric",
    'attributes.deep."a.b"': "u.attributes->'deep'->>'a.b'",
}  # fmt: skip


@given(
    keys=st.lists(st.sampled_from(sorted(set(_COLUMNS) - {"id"})), min_size=1, max_size=4, unique=True),
    directions=st.lists(st.sampled_from(["", "-"]), min_size=4, max_size=5),
    limit=st.integers(60, 300),
    narrowed=st.sampled_from(["", "&category=neq.UA", "&occurred_at=is.notnull", "&source=neq.news", "&title=is.null"]),
)
@PROPERTY
async def test_pages_of_any_sort_join_to_the_list_that_sql_sorts(
    client: httpx.AsyncClient,
    connection: Connection,
    keys: list[str],
    directions: list[str],
    limit: int,
    narrowed: str,
) -> None:
    names = [*keys, "id"] if len(directions) == 5 else keys
    sort = [f"{minus}{name}" for minus, name in zip(directions, names, strict=False)]
    order = [f"{_COLUMNS[name.removeprefix('-')]} {'desc' if name[0] == '-' else 'asc'} nulls last" for name in sort]
    tie = "u.id desc" if sort[-1].startswith("-") else "u.id"
    where = {
        "": "true", "&category=neq.UA": "u.category <> 'UA'", "&occurred_at=is.notnull": "u.occurred_at is not null",
        "&source=neq.news": "s.name <> 'news'", "&title=is.null": "u.title is null",
    }[narrowed]  # fmt: skip
    expected = await ids(connection, Question("", where, ", ".join([*order, tie])))
    assert await walk(client, f"sort={','.join(sort)}{narrowed}", limit) == expected


_WORDS = st.sampled_from(
    ["not.", "eq.", "neq.", "gt.", "gte.", "lt.", "lte.", "like.", "ilike.", "in.", "is.", "(", ")", '"', "\\", "*",
     ",", "%", "_", "null", "true", "1", "-1e999", "1e-999", "9" * 30, "0x1", "NaN", "Infinity", "2013-01-01",
     "2013-02-31", "T24:00",
     "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "\x00", "\ud7ff", "é", "'", ";", "--", "$1",
     "::int", ".", "{}", "[]", " ", "+", "\n", "csv", "flights"]
)  # fmt: skip
_NAMES = st.sampled_from(
    [*_COLUMNS, "tags", "attributes", "attributes.", "attributes..x", "attributes.air_time", "attributes.flag",
     "attributes.deep", "attributes.deep.list.0", 'attributes."', "attributes.\x00", "limit", "offset", "cursor",
     "sort", "fields", "q", "count", "format", "zzz", ""]
)  # fmt: skip
_VALUES = st.lists(_WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5).map("".join)


@given(parameters=st.lists(st.tuples(_NAMES, _VALUES), min_size=1, max_size=4))
@settings(PROPERTY, max_examples=200)
async def test_whatever_is_asked_the_answer_is_no_server_error(
    client: httpx.AsyncClient, parameters: list[tuple[str, str]]
) -> None:
    response = await client.get(f"/data?{urlencode(parameters)}")
    assert response.status_code in {200, 400, 404, 410}, response.text


async def test_rows_that_stay_are_seen_once_while_others_come_and_change(
    client: httpx.AsyncClient, connection: Connection
) -> None:
    before = await ids(connection, Question(""))
    found: list[int] = []
    url = "/data?limit=29&sort=id"
    while url:
        response = await client.get(url)
        found += [record["id"] for record in response.json()["data"]]
        url = response.links["next"]["url"] if "next" in response.links else ""
        await connection.execute(
            "update unified_data set title = title || 'x', occurred_at = now() where id % 3 = $1", len(found) % 3
        )
        await connection.execute(
            "insert into unified_data (source_id, record_key, content_hash, record_hash, raw_id, run_id, pass_id, "
            "mapping_version, first_seen_at, last_changed_at) "
            "select 1, 'new ' || clock_timestamp(), '', '', 1, 1, 1, 1, now(), now() "
            "where (select max(id) from unified_data) < 520"
        )
    assert len(found) == len(set(found))
    assert set(before) <= set(found)
    assert len(found) > len(before)
