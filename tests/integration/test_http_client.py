"""What an upstream sees of the client, and what a source gets: answers, manners, conditions, redirects."""

import asyncio
import re

import pytest

from kasparro.core.errors import UpstreamError
from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.http.contract import HttpPolicy, Validators
from kasparro.ingestion.http.reporting import Observation
from tests.fix_http import Http
from tests.http_server import Hang, Reply, Request, Upstream, Wait, answer, gzipped, head, json_answer, raw, running

QUICK = HttpPolicy(requests=1000, allow_private=True)


async def test_an_answer_has_its_final_url_status_headers_and_body(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/data", raw(head(200, {"X-One": "1", "x-one": "2", "Content-Length": "4"}), b"body"))
    fetched = await http.fetcher().get(url, params={"q": "a b&c"})
    assert (fetched.url, fetched.status, fetched.body) == (f"{url}?q=a+b%26c", 200, b"body")
    assert fetched.headers == {"x-one": "1, 2", "content-length": "4"}
    assert not fetched.not_modified
    assert upstream.last("/data").query == {"q": "a b&c"}


async def test_an_upstream_sees_who_asks_and_whom_to_write_to(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer())
    policy = HttpPolicy(allow_private=True, headers={"X-Team": "data", "Accept": "text/csv"})
    await http.fetcher(policy).get(url, headers={"accept": "application/json"})
    assert upstream.requests[0].headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "user-agent": "kasparro/test (+https://example.org/us)",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "x-team": "data",
    }


async def test_packed_and_chunked_bodies_come_unpacked(http: Http, upstream: Upstream) -> None:
    text = b"earthquakes " * 1000
    packed = {"Content-Encoding": "gzip"}
    url = upstream.on("/", answer(body=gzipped(text), headers=packed, chunked=True), answer(body=text, chunked=True))
    assert [(await http.fetcher().get(url)).body for _ in range(2)] == [text, text]


async def test_connections_are_kept_for_the_next_request(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(body="x"))
    for _ in range(5):
        await http.fetcher().get(url)
    assert (len(upstream.requests), upstream.connections) == (5, 1)


async def test_no_cookie_is_kept(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(headers={"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        await http.fetcher().get(url)
    assert "cookie" not in upstream.last("/").headers


async def test_proxies_and_credentials_of_the_environment_are_ignored(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = upstream.on("/", answer(body="direct"))
    async with HttpClient(user_agent="k", contact="c") as client:
        assert (await client.bound(QUICK, source="s").get(url)).body == b"direct"


# -- conditions ------------------------------------------------------------------------------------------------------


def conditional(request: Request) -> Reply:
    """A server with one version of its page."""
    headers = {"ETag": '"v1"', "Last-Modified": "Fri, 15 Jan 2027 08:00:00 GMT"}
    if request.headers.get("if-none-match") == '"v1"':
        return answer(304, headers={"ETag": '"v1"'})
    return answer(body="content", headers=headers)


async def test_what_is_unchanged_is_not_sent_again_and_keeps_its_validators(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/feed", conditional)
    first = await http.fetcher().get(url)
    assert first.validators == Validators('"v1"', "Fri, 15 Jan 2027 08:00:00 GMT")
    second = await http.fetcher().get(url, validators=first.validators)
    assert (second.status, second.not_modified, second.body) == (304, True, b"")
    assert second.validators == first.validators
    assert upstream.last("/feed").headers["if-modified-since"] == "Fri, 15 Jan 2027 08:00:00 GMT"


async def test_a_304_keeps_the_validators_that_it_does_not_replace(http: Http, upstream: Upstream) -> None:
    known = Validators('"v1"', "Fri, 15 Jan 2027 08:00:00 GMT")
    url = upstream.on("/feed", answer(304), answer(304, headers={"ETag": '"v1b"'}))
    assert (await http.fetcher().get(url, validators=known)).validators == known
    assert (await http.fetcher().get(url, validators=known)).validators == Validators('"v1b"', known.last_modified)


async def test_what_has_changed_comes_with_its_new_validators(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/feed", answer(body="new", headers={"ETag": '"v2"'}))
    fetched = await http.fetcher().get(url, validators=Validators('"v1"', "Fri, 15 Jan 2027 08:00:00 GMT"))
    assert (fetched.not_modified, fetched.validators) == (False, Validators('"v2"'))


async def test_a_304_that_nobody_asked_for_is_an_error(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/feed", answer(304))
    for validators in (None, Validators()):
        with pytest.raises(UpstreamError, match="answered 304 Not Modified"):
            await http.fetcher().get(url, validators=validators)


async def test_a_304_may_state_the_length_of_what_it_does_not_send(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/feed", raw(head(304, {"Content-Length": "999999999999", "Content-Encoding": "br"})))
    assert (await http.fetcher().get(url, validators=Validators('"v1"'))).not_modified


# -- statuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 418, 422, 451, 501, 505, 599, 299 + 1])
async def test_other_statuses_are_errors_at_once(http: Http, upstream: Upstream, status: int) -> None:
    url = upstream.on("/data", json_answer({"error": "no\nway"}, status))
    with pytest.raises(UpstreamError) as error:
        await http.fetcher().get(url)
    assert re.fullmatch(
        rf'{re.escape(url)}: answered {status} ?[\w\' -]*: {{"error": "no\\nway"}} \(tried once\)', error.value.message
    )
    assert (error.value.status, error.value.url, upstream.count("/data")) == (status, url, 1)


async def test_an_accepted_status_is_an_answer(http: Http, upstream: Upstream) -> None:
    for status in (404, 429, 302):
        url = upstream.on("/data", answer(status, "x" * 100_000, {"Location": "http://no:url/"}))
        fetched = await http.fetcher().get(url, accept=[404, 429, 302])
        assert (fetched.status, len(fetched.body)) == (status, 100_000)


async def test_the_error_quotes_no_binary_and_no_more_than_200_characters(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(404, b"\x00\x01\x02"), answer(404, "<p>" + "no " * 1000), answer(404, b"\x1b[31mred"))
    told: list[str] = []
    for _ in range(3):
        with pytest.raises(UpstreamError) as error:
            await http.fetcher().get(url)
        told.append(error.value.message.removeprefix(f"{url}: answered 404 Not Found").removesuffix(" (tried once)"))
    assert told == ["", ": <p>" + "no " * 65 + "no...", ""]


async def test_a_long_explanation_of_an_error_is_not_waited_for(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(404, {"Content-Length": "1000000"}), b"because", Hang()))
    policy = HttpPolicy(allow_private=True, attempts=1, attempt_seconds=2)
    with pytest.raises(UpstreamError, match=r"answered 404 Not Found \(tried once\)"):
        await http.fetcher(policy).get(url)


async def test_the_cut_of_a_quotation_leaves_no_part_of_a_secret(http: Http, upstream: Upstream) -> None:
    policy = HttpPolicy(allow_private=True, secrets=["abcdefghijklmnopqrstuvwxyz"])
    url = upstream.on("/", answer(404, "-" * 190 + "abcdefghijklmnopqrstuvwxyz"))
    with pytest.raises(UpstreamError) as error:
        await http.fetcher(policy).get(url)
    assert error.value.message == f"{url}: answered 404 Not Found: {'-' * 190}*** (tried once)"


# -- redirects -------------------------------------------------------------------------------------------------------


async def test_redirects_are_followed_to_the_answer(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/1", answer(301, headers={"Location": "2?a=b"}))
    upstream.on("/2", answer(302, "gone there", {"Location": upstream.url + "/3"}))
    upstream.on("/3", answer(body="here"))
    fetched = await http.fetcher().get(url, headers={"Authorization": "Bearer abcdefgh"}, params={"x": "y"})
    assert (fetched.url, fetched.body) == (upstream.url + "/3", b"here")
    assert upstream.last("/2").target == "/2?a=b"
    assert upstream.last("/3").headers["authorization"] == "Bearer abcdefgh"


async def test_a_redirect_loop_ends_at_once(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/1", answer(302, headers={"Location": "/2"}))
    upstream.on("/2", answer(302, headers={"Location": "/1"}))
    with pytest.raises(
        UpstreamError, match=r"/2 \(redirected from .*/1\): redirect loop: leads back to .*/1 \(tried once"
    ):
        await http.fetcher().get(url)
    assert len(upstream.requests) == 2


async def test_the_eleventh_redirect_is_not_followed(http: Http, upstream: Upstream) -> None:
    def onward(request: Request) -> Reply:
        return answer(302, headers={"Location": f"/?n={int(request.query['n']) + 1}"})

    with pytest.raises(UpstreamError, match="more than 10 redirects"):
        await http.fetcher().get(upstream.on("/", onward), params={"n": "0"})
    assert len(upstream.requests) == 11


async def test_another_origin_gets_no_secret_on_the_wire(http: Http, upstream: Upstream) -> None:
    policy = HttpPolicy(allow_private=True, headers={"X-Custom": "s3cr3t", "Accept": "a/b"}, secrets=["s3cr3t"])
    async with running() as other:
        location = other.on("/there", answer(body="hello")) + "?key=s3cr3t&page=1"
        url = upstream.on("/here", answer(307, headers={"Location": location}))
        fetched = await http.fetcher(policy).get(url.replace("://", "://ada:pw@"), params={"key": "s3cr3t"})
        assert other.requests[0].target == "/there?page=1"
        assert set(other.requests[0].headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert upstream.last("/here").headers["authorization"] == "Basic YWRhOnB3"
    assert upstream.last("/here").query == {"key": "s3cr3t"}
    assert fetched.url == f"{other.url}/there?page=1"


async def test_the_error_names_the_place_that_a_redirect_led_to(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/old", answer(301, headers={"Location": "/new"}))
    with pytest.raises(UpstreamError) as error:
        await http.fetcher().get(url)
    place = f"{upstream.url}/new"
    assert error.value.message == f"{place} (redirected from {url}): answered 404 Not Found: no such path (tried once)"
    assert error.value.url == place


# -- pace ------------------------------------------------------------------------------------------------------------


async def test_a_host_gets_two_requests_at_a_time_over_all_sources(http: Http, upstream: Upstream) -> None:
    held, two_are_there = asyncio.Event(), asyncio.Event()

    def hold(_: Request) -> Reply:
        if upstream.in_flight == 2:
            two_are_there.set()
        return raw(Wait(held)).then(*answer(body="x").steps)

    url = upstream.on("/", hold)
    fetchers = [http.fetcher(source=name) for name in ("quakes", "news", "trades")]
    tasks = [asyncio.create_task(fetcher.get(url)) for fetcher in fetchers * 3]
    await two_are_there.wait()
    async with running() as other:
        await http.fetcher().get(other.on("/", answer()))  # another host has places of its own
    assert len(upstream.requests) == 2
    held.set()
    await asyncio.gather(*tasks)
    assert (upstream.most_in_flight, len(upstream.requests)) == (2, 9)


async def test_a_source_sends_no_more_than_its_rate(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer())
    policy = HttpPolicy(requests=2, per_seconds=0.1, allow_private=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(http.fetcher(policy).get(url) for _ in range(6)))
    assert loop.time() - began >= 0.19  # two at once, then one every 50 ms


async def test_a_rate_below_one_a_second_is_honoured(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer())
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        await http.fetcher(HttpPolicy(requests=0.5, per_seconds=0.05, allow_private=True)).get(url)
    assert loop.time() - began >= 0.19


async def test_sources_do_not_slow_each_other_down(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer())
    slow = HttpPolicy(requests=1, per_seconds=3600, allow_private=True)
    await http.fetcher(slow, source="slow").get(url)
    waiting = asyncio.create_task(http.fetcher(slow, source="slow").get(url))
    await http.fetcher(source="other").get(url)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(upstream.requests) == 2


# -- what is told ----------------------------------------------------------------------------------------------------


async def test_each_request_and_retry_is_observed(http: Http, upstream: Upstream) -> None:
    await http.fetcher().get(upstream.on("/", answer(503), answer(200)))
    seen = [(one.source, one.kind, one.status, one.reason, one.waited_seconds) for one in http.observed]
    assert seen == [
        ("quakes", "request", 503, None, 0.0),
        ("quakes", "retry", 503, "status", 1.0),
        ("quakes", "request", 200, None, 0.0),
    ]
    assert isinstance(http.observed[0], Observation)
