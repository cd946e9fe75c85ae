"""Upstreams that fail in every way: what is tried again, what is not, and what the error says."""

import asyncio
from dataclasses import replace

import pytest
import structlog

from kasparro.core.errors import UpstreamError
from kasparro.ingestion.http.contract import Fetched, HttpPolicy
from tests.fix_http import Http
from tests.http_server import Close, Drip, Hang, Reply, Reset, Upstream, Wait, answer, gzipped, head, raw

BROKEN = {
    "reset before the answer": raw(Reset()),
    "closed before the answer": raw(Close()),
    "reset in the head": raw(b"HTTP/1.1 200 OK\r\nContent-", Reset()),
    "closed in the head": raw(b"HTTP/1.1 200 OK\r\nContent-", Close()),
    "half a body": raw(head(200, {"Content-Length": "10"}), b"half", Close()),
    "reset in the body": raw(head(200, {"Content-Length": "10"}), b"half", Reset()),
    "half a chunked body": raw(head(200, {"Transfer-Encoding": "chunked"}), b"4\r\nhalf\r\n", Close()),
    "half a chunk": raw(head(200, {"Transfer-Encoding": "chunked"}), b"9\r\nhalf", Close()),
    "truncated gzip": answer(body=gzipped(b"x" * 1000)[:-5], headers={"Content-Encoding": "gzip"}),
    "damaged gzip": answer(body=b"not packed", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_answers_are_asked_for_again(http: Http, upstream: Upstream, broken: Reply) -> None:
    url = upstream.on("/", broken, broken, answer(body="whole"))
    assert (await http.fetcher().get(url)).body == b"whole"
    assert http.waits.slept == [1.0, 2.0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_statuses_that_pass_are_asked_again(http: Http, upstream: Upstream, status: int) -> None:
    url = upstream.on("/", answer(status), answer(status), answer(body="whole"))
    assert (await http.fetcher().get(url)).body == b"whole"
    assert http.waits.slept == [1.0, 2.0]


async def test_tries_end_and_are_counted_in_the_error(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/data", answer(500, "oops"))
    with pytest.raises(UpstreamError) as error:
        await http.fetcher().get(url)
    told = f"{url}: answered 500 Internal Server Error: oops (tried 5 times in 15.0 s)"
    assert (error.value.message, error.value.status, upstream.count("/data")) == (told, 500, 5)


async def test_the_status_shows_even_where_its_body_is_broken(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(404, {"Content-Length": "10"}), b"half", Close()))
    with pytest.raises(UpstreamError, match=r"answered 404 Not Found \(tried once\)"):
        await http.fetcher().get(url)


async def test_nobody_listening_is_tried_again_and_says_so(http: Http) -> None:
    with pytest.raises(
        UpstreamError, match=r"http://127\.0\.0\.1:1/: no connection: Connection refused \(tried 5 times"
    ) as error:
        await http.fetcher().get("http://127.0.0.1:1/")
    assert error.value.status is None


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n", b"HTTP/1.1 two hundred\r\n\r\n"],
)
async def test_what_is_no_http_is_an_error_at_once(http: Http, upstream: Upstream, garbage: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"the answer is not valid HTTP: .* \(tried once\)"):
        await http.fetcher().get(upstream.on("/", raw(garbage, Close())))


async def test_two_lengths_that_differ_are_no_valid_http(http: Http, upstream: Upstream) -> None:
    head_bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"
    with pytest.raises(UpstreamError, match="not valid HTTP"):
        await http.fetcher().get(upstream.on("/", raw(head_bytes, b"12345", Close())))


# -- time ------------------------------------------------------------------------------------------------------------


TWICE = HttpPolicy(requests=1000, allow_private=True, attempts=2)


@pytest.mark.parametrize("start", [b"", head(200, {"Content-Length": "10"}) + b"half"], ids=["at once", "in the body"])
async def test_silence_ends_the_try(http: Http, upstream: Upstream, start: bytes) -> None:
    url = upstream.on("/", raw(start, Hang()))
    with pytest.raises(
        UpstreamError, match=r"fell silent for longer than 0\.05 s, the source's `timeout` \(tried 2 times"
    ):
        await http.fetcher(replace(TWICE, read_seconds=0.05)).get(url)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", head(200, {"Content-Length": "100000"})], ids=["head", "body"]
)
async def test_a_slow_drip_ends_with_the_time_of_one_try(http: Http, upstream: Upstream, start: bytes) -> None:
    url = upstream.on("/", raw(start, Drip(b"x")))
    told = r"the answer took longer than 0\.2 s, the source's `total_timeout` \(tried 2 times"
    with pytest.raises(UpstreamError, match=told):
        await http.fetcher(replace(TWICE, attempt_seconds=0.2)).get(url)


async def test_no_try_takes_longer_than_what_is_left_in_all(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(200, {"Content-Length": "100000"}), Drip(b"x")))
    told = r"no complete answer in the 0\.1 s that were left of the 0\.1 s for all tries \(tried once\); no time"
    with pytest.raises(UpstreamError, match=told):
        await http.fetcher(replace(TWICE, total_seconds=0.1)).get(url)


async def test_a_last_try_without_time_does_not_hide_why_the_one_before_failed(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(200, {"Content-Length": "100000"}), Drip(b"x")))
    told = (
        r"the answer took longer than 0\.2 s, the source's `total_timeout` \(tried 2 times in 1\.0 s\); "
        r"the last try: no complete answer in the 0\.1 s that were left of the 1\.1 s for all tries"
    )
    with pytest.raises(UpstreamError, match=told):
        await http.fetcher(replace(TWICE, attempt_seconds=0.2, total_seconds=1.1)).get(url)


@pytest.mark.parametrize(
    ("policy", "status", "headers", "hint"),
    [
        (TWICE, 401, {}, "does the server want a key? an API's is given by `auth:`"),
        (replace(TWICE, secrets=["swordfish"]), 403, {}, "is the key of `auth:` (or `headers:`) right?"),
        (TWICE, 403, {"Retry-After": "5"}, ""),
        (TWICE, 404, {}, ""),
    ],
)
async def test_a_refused_caller_is_told_where_keys_come_from(
    http: Http, upstream: Upstream, policy: HttpPolicy, status: int, headers: dict[str, str], hint: str
) -> None:
    with pytest.raises(UpstreamError) as error:
        await http.fetcher(policy).get(upstream.on("/", answer(status, headers=headers)))
    assert (error.value.hint or "")[: len(hint) or None] == hint


async def test_cancelling_ends_the_request_and_frees_its_place(http: Http, upstream: Upstream) -> None:
    begun = asyncio.Event()
    held = asyncio.Event()

    def slow(_: object) -> Reply:
        begun.set()
        return raw(head(200, {"Content-Length": "10"}), b"half", Wait(held), b"-whole")

    url = upstream.on("/slow", slow)
    for _ in range(5):
        begun.clear()
        task = asyncio.create_task(http.fetcher().get(url))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    held.set()
    assert (await http.fetcher().get(upstream.on("/", answer(body="next")))).body == b"next"
    assert http.waits.slept == []


# -- size ------------------------------------------------------------------------------------------------------------


def capped(size: int) -> HttpPolicy:
    return HttpPolicy(allow_private=True, max_body_bytes=size)


async def test_an_announced_size_above_the_cap_is_refused_at_once(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(200, {"Content-Length": "1001"}), Hang()))
    with pytest.raises(UpstreamError, match=r"1,001 bytes, more than the 1,000 allowed \(tried once\)"):
        await http.fetcher(capped(1000)).get(url)


async def test_an_endless_body_stops_at_the_cap(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", raw(head(200), Drip(b"x" * 10_000, gap_seconds=0)))
    with pytest.raises(UpstreamError, match="larger than the 1,000,000 bytes allowed"):
        await http.fetcher(capped(1_000_000)).get(url)


async def test_a_gzip_bomb_stops_at_the_cap(http: Http, upstream: Upstream) -> None:
    bomb = gzipped(b"\0" * 50_000_000)
    url = upstream.on("/", raw(head(200, {"Content-Encoding": "gzip"}), bomb[:20_000], Hang()))
    with pytest.raises(
        UpstreamError, match=r"decompressed, is larger than the 1,000,000 bytes allowed \(.* received so far\)"
    ):
        await http.fetcher(capped(1_000_000)).get(url)


async def test_a_coding_that_we_do_not_ask_for_is_an_error(http: Http, upstream: Upstream) -> None:
    with pytest.raises(UpstreamError, match='encoded as "br", which was not asked for'):
        await http.fetcher().get(upstream.on("/", answer(body=b"?", headers={"Content-Encoding": "br"})))


# -- when to come back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0),
        ("0", 1.0),
        ("-3", 1.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 1.0),
        ("soon", 1.0),
    ],
)
async def test_retry_after_is_obeyed_where_it_makes_sense(
    http: Http, upstream: Upstream, value: str, wait: float
) -> None:
    url = upstream.on("/", answer(429, headers={"Retry-After": value}), answer(body="now"))
    assert (await http.fetcher().get(url)).body == b"now"
    assert http.waits.slept == [wait]


async def test_a_wait_beyond_the_time_allowed_is_not_begun(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(429, "slow down", {"Retry-After": "3600"}))
    with pytest.raises(UpstreamError) as error:
        await http.fetcher().get(url)
    assert error.value.message == (
        f"{url}: answered 429 Too Many Requests: slow down (tried once); "
        "come back in 3600 s (at 2027-01-15T09:00:00Z), longer than the 120 s left for retries"
    )
    assert (error.value.retry_after_seconds, error.value.status, http.waits.slept) == (3600.0, 429, [])


async def test_a_server_that_wants_to_be_left_alone_is_not_even_asked(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(503, headers={"Retry-After": "3600"}), answer(body="back"))
    with pytest.raises(UpstreamError, match="answered 503"):
        await http.fetcher().get(url)
    with pytest.raises(UpstreamError, match=r"asked for a pause earlier \(not tried\); come back in 3600 s") as error:
        await http.fetcher().get(url)
    assert error.value.retry_after_seconds == 3600.0
    assert len(upstream.requests) == 1
    http.waits.slept.append(3600.0)
    assert (await http.fetcher().get(url)).body == b"back"


async def test_a_pause_holds_back_the_other_requests_of_the_source_and_no_other_source(
    http: Http, upstream: Upstream
) -> None:
    upstream.on("/limited", answer(429, headers={"Retry-After": "60"}), answer())
    url = upstream.on("/other", answer())
    once = HttpPolicy(requests=1000, allow_private=True, attempts=1)
    with pytest.raises(UpstreamError):
        await http.fetcher(once).get(upstream.url + "/limited")
    await http.fetcher(once, source="news").get(url)
    assert http.waits.slept == []
    await http.fetcher(once).get(url)
    assert http.waits.slept == [60.0]


async def test_a_request_that_waits_for_its_place_heeds_a_pause_asked_for_meanwhile(
    http: Http, upstream: Upstream
) -> None:
    limited = answer(429, headers={"Retry-After": "60"})
    url = upstream.on("/", limited, limited, answer(body="third"))
    fetcher = http.fetcher(replace(TWICE, attempts=1))
    first, second, third = await asyncio.gather(*(fetcher.get(url) for _ in range(3)), return_exceptions=True)
    assert isinstance(first, UpstreamError)
    assert isinstance(second, UpstreamError)
    assert isinstance(third, Fetched)
    assert http.waits.slept == [60.0]


async def test_a_server_is_asked_again_after_a_day_whatever_it_had_said(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(503, headers={"Retry-After": "999999999"}), answer(body="back"))
    with pytest.raises(UpstreamError, match="come back in 999999999 s"):
        await http.fetcher().get(url)
    http.waits.slept.append(86_000.0)
    with pytest.raises(UpstreamError, match=r"asked for a pause earlier \(not tried\); come back in 400 s"):
        await http.fetcher().get(url)
    http.waits.slept.append(400.0)
    assert (await http.fetcher().get(url)).body == b"back"


@pytest.mark.parametrize(
    "headers",
    [
        {"RateLimit": '"default";r=0;t=30'},
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "30"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000030"},
    ],
)
async def test_a_quota_used_up_is_waited_out_before_the_next_request(
    http: Http, upstream: Upstream, headers: dict[str, str]
) -> None:
    url = upstream.on("/", answer(headers=headers), answer())
    await http.fetcher().get(url)
    assert http.waits.slept == []
    await http.fetcher().get(url)
    assert http.waits.slept == [30.0]


async def test_a_403_for_a_quota_used_up_says_when_to_come_back(http: Http, upstream: Upstream) -> None:
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000900"}
    with pytest.raises(UpstreamError, match=r"403 Forbidden.*come back in 900 s \(at 2027-01-15T08:15:00Z\)") as error:
        await http.fetcher().get(upstream.on("/", answer(403, headers=spent)))
    assert error.value.retry_after_seconds == 900.0


# -- what is told ----------------------------------------------------------------------------------------------------


async def test_each_request_and_each_retry_has_its_line(http: Http, upstream: Upstream) -> None:
    url = upstream.on("/", answer(503), answer(body="ok"))
    with structlog.testing.capture_logs() as lines:
        await http.fetcher().get(url)
    told = [(line["event"], line["log_level"], line["source"], line["attempt"], line["url"]) for line in lines]
    assert told == [
        ("http.upstream_request", "debug", "quakes", 1, url),
        ("http.retry", "info", "quakes", 1, url),
        ("http.upstream_request", "debug", "quakes", 2, url),
    ]
    assert lines[1]["wait"] == 1.0
    assert lines[1]["message"] == f"{url}: answered 503 Service Unavailable; trying again in 1.0 s"


async def test_no_secret_shows_in_errors_logs_or_answers(http: Http, upstream: Upstream) -> None:
    secret = "p/q+r s"
    headers = {"X-Api-Key": secret, "Authorization": "Bearer tok-en-12"}
    policy = replace(TWICE, headers=headers, secrets=[secret])
    echo = upstream.on("/", lambda request: answer(500, f"{request.target} {dict(request.headers)}"))
    with structlog.testing.capture_logs() as lines, pytest.raises(UpstreamError) as error:
        await http.fetcher(policy).get(echo.replace("://", "://ada:pass-word@"), params={"key": secret, "page": "2"})
    shown = f"{error.value.message} {error.value.url} {lines}"
    for form in (secret, "p%2Fq", "q+r", "tok-en-12", "pass-word", "YWRhOnBhc3Mtd29yZA"):
        assert form not in shown
    assert error.value.url == f"{upstream.url}/?key=***&page=2"
    ok = await http.fetcher(policy).get(upstream.on("/", answer()), params={"key": secret, "page": "2"})
    assert ok.url == f"{upstream.url}/?page=2"


async def test_what_a_server_says_in_headers_shows_no_secret_either(http: Http, upstream: Upstream) -> None:
    fetcher = http.fetcher(replace(TWICE, secrets=["s3cr3t"]))
    url = upstream.on("/", answer(302, headers={"Location": "http://a:s3cr3t/"}))
    with pytest.raises(UpstreamError, match=r"redirected to something that is no URL: .http://a:\*\*\*/"):
        await fetcher.get(url)
    coded = upstream.on("/", answer(body="x", headers={"Content-Encoding": "s3cr3t"}))
    with pytest.raises(UpstreamError, match=r'encoded as "\*\*\*"'):
        await fetcher.get(coded)
