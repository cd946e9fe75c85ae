"""The demo upstream as an application: key, limit, parameters, validators."""

from collections.abc import AsyncIterator

import httpx
import pytest

from kasparro.demo.app import create_app
from kasparro.demo.replay import STARTS_AT
from kasparro.demo.week import load_week

QUERY = "/fdsnws/event/1/query?format=geojson"
FEED = "/earthquakes/feed/v1.0/summary/all_week.atom"
KEY = {"X-API-Key": "let-me-in"}
WEEK = load_week()


class Clock:
    """A moment of the week that a test moves."""

    def __init__(self) -> None:
        self.at = STARTS_AT

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(WEEK, clock=clock, key="let-me-in", refused_every=3)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo") as client:
        yield client


async def test_a_missing_key_is_unauthorized_and_a_wrong_one_forbidden(client: httpx.AsyncClient) -> None:
    missing = await client.get(QUERY)
    assert (missing.status_code, missing.headers["WWW-Authenticate"]) == (401, 'ApiKey header="X-API-Key"')
    for wrong in (b"let-me-out", "let-me-in\u00e9".encode(), b""):
        refused = await client.get(QUERY, headers={b"X-API-Key": wrong})
        assert refused.status_code == 403
        assert refused.text.startswith("Error 403: Forbidden\n\nThe key in X-API-Key is not valid.\n\n")
    assert (await client.get(QUERY, headers=KEY)).status_code == 200


async def test_every_third_request_with_a_key_is_refused_for_a_second(client: httpx.AsyncClient) -> None:
    await client.get(QUERY)
    answers = [await client.get(QUERY + "&limit=1", headers=KEY) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200, 429, 200]
    assert answers[2].headers["Retry-After"] == "1"
    assert answers[2].headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_without_a_limit_nothing_is_refused(clock: Clock) -> None:
    app = create_app(WEEK, clock=clock, key="let-me-in", refused_every=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo") as client:
        answers = [await client.get(QUERY + "&limit=1", headers=KEY) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}


async def test_bad_parameters_are_refused_in_plain_text(client: httpx.AsyncClient) -> None:
    answer = await client.get(QUERY + "&limit=a&colour=red", headers=KEY)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert 'Unknown parameter "colour".\n\nBad limit value "a".' in answer.text
    assert "Request:\n/fdsnws/event/1/query?format=geojson&amp;limit=a&amp;colour=red\n" in answer.text


async def test_what_is_asked_for_after_a_while_is_what_changed(client: httpx.AsyncClient, clock: Clock) -> None:
    first = (await client.get(QUERY, headers=KEY)).json()
    assert first["metadata"]["count"] == len(first["features"]) == 1080
    clock.at += 600 * 60 * 1000
    later = (await client.get(QUERY + "&updatedafter=2018-02-04T12:00:00Z", headers=KEY)).json()
    assert later["metadata"]["url"] == f"http://demo{QUERY}&updatedafter=2018-02-04T12:00:00Z"
    assert later["metadata"]["generated"] == clock.at
    assert later["metadata"]["count"] == 124 + 35
    known = {feature["id"] for feature in first["features"]}
    assert len([feature for feature in later["features"] if feature["id"] in known]) == 35


async def test_a_frozen_week_answers_the_same_bytes(client: httpx.AsyncClient) -> None:
    answers = [await client.get(QUERY, headers=KEY) for _ in range(2)]
    assert answers[0].content == answers[1].content


async def test_a_feed_that_did_not_change_is_304(client: httpx.AsyncClient, clock: Clock) -> None:
    first = await client.get(FEED)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/atom+xml")
    assert first.content.count(b"<entry>") == 1080
    conditions = {"If-None-Match": first.headers["ETag"], "If-Modified-Since": first.headers["Last-Modified"]}
    for name, value in conditions.items():
        again = await client.get(FEED, headers={name: value})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    clock.at += 600 * 60 * 1000
    for name, value in conditions.items():
        changed = await client.get(FEED, headers={name: value})
        assert (changed.status_code, changed.content.count(b"<entry>")) == (200, 1204)


async def test_health_says_what_is_shown(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.json() == {"status": "ok", "week_time": "2018-02-04T12:00:00+00:00", "events": 1080}
