"""Where connections may lead, and how they are secured: addresses, names, certificates, HTTP/2."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events
import pytest

from kasparro.core.errors import UpstreamError
from kasparro.ingestion.http import network
from kasparro.ingestion.http.addresses import refusal
from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.http.contract import HttpPolicy
from tests.fix_http import Certificate, Http, Waits, authorities
from tests.http_server import Upstream, answer, running

PUBLIC_ONLY = HttpPolicy(requests=1000)
OPEN = HttpPolicy(requests=1000, allow_private=True)


class Names:
    """A resolver that gives its answers in turn; the last one repeats."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def client(*answers: Sequence[str], tls: ssl.SSLContext | None = None) -> HttpClient:
    """A client with these answers to its look-ups (default: the system's), and authorities of its own."""
    resolver = Names(*answers) if answers else network.resolve
    return HttpClient(user_agent="k", contact="c", tls=tls or authorities(), resolver=resolver, clock=Waits().clock())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0", "[::ffff:127.0.0.1]"])
async def test_loopback_is_refused_however_it_is_written(http: Http, upstream: Upstream, host: str) -> None:
    with pytest.raises(UpstreamError, match=r"which this source may not reach \(tried once\)") as error:
        await http.fetcher(PUBLIC_ONLY).get(f"http://{host}:{upstream.port}/")
    assert error.value.hint == "allow_private: true lets this source reach it"
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]", "224.0.0.1"]
)
async def test_other_addresses_that_are_not_public_are_refused(http: Http, host: str) -> None:
    told = rf": {re.escape(host.strip('[]'))} is an? [a-z-]+ address, which this source may not reach"
    with pytest.raises(UpstreamError, match=told):
        await http.fetcher(PUBLIC_ONLY).get(f"http://{host}/")
    assert http.waits.slept == []


async def test_a_name_is_judged_by_the_address_behind_it(upstream: Upstream) -> None:
    async with client(["127.0.0.1", "10.0.0.1"]) as names:
        told = r"inside\.example leads to 127\.0\.0\.1 \(loopback\), 10\.0\.0\.1 \(private\), which this source may not"
        with pytest.raises(UpstreamError, match=told):
            await names.bound(PUBLIC_ONLY, source="s").get(f"http://inside.example:{upstream.port}/")
    assert upstream.connections == 0


async def test_the_address_that_was_judged_is_the_one_that_is_dialled(upstream: Upstream) -> None:
    """A second look-up, by whoever, would fail: the name does not exist outside our resolver."""
    upstream.on("/", answer(body="here"))
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with HttpClient(user_agent="k", contact="c", resolver=names) as one:
        url = f"http://rebinding.invalid:{upstream.port}/"
        assert (await one.bound(OPEN, source="s").get(url)).body == b"here"
    assert names.asked == [f"rebinding.invalid:{upstream.port}"]
    assert upstream.requests[0].headers["host"] == f"rebinding.invalid:{upstream.port}"


@pytest.fixture
def public_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 passes for a public address, since no test has a public server."""
    monkeypatch.setattr(network, "refusal", lambda address: None if address == "127.0.0.1" else refusal(address))


@pytest.mark.usefixtures("public_loopback")
@pytest.mark.parametrize("inside", ["http://127.0.0.2/", "http://169.254.169.254/latest/meta-data/", "//[::1]/x"])
async def test_a_redirect_does_not_lead_inside(http: Http, upstream: Upstream, inside: str) -> None:
    url = upstream.on("/", answer(302, headers={"Location": inside}))
    with pytest.raises(UpstreamError, match=r"\(redirected from .*which this source may not reach \(tried once\)"):
        await http.fetcher(PUBLIC_ONLY).get(url)


async def test_of_several_addresses_only_the_allowed_ones_are_dialled() -> None:
    names = Names(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"])
    guarded = network.CheckedBackend(allow_private=False, resolver=names)
    assert await guarded._allowed("mixed.example", 80) == ["8.8.8.8", "2606:4700::1111"]
    unguarded = network.CheckedBackend(allow_private=True, resolver=names)
    assert len(await unguarded._allowed("mixed.example", 80)) == 4


async def test_an_address_that_does_not_answer_gives_way_to_the_next(upstream: Upstream) -> None:
    upstream.on("/", answer(body="here"))
    async with client(["127.0.0.2", "127.0.0.1"]) as names:
        assert (await names.bound(OPEN, source="s").get(f"http://a.example:{upstream.port}/")).body == b"here"


async def test_a_connection_of_one_source_does_not_serve_another_that_may_not_reach_it(
    http: Http, upstream: Upstream
) -> None:
    url = upstream.on("/", answer())
    await http.fetcher(OPEN, source="inside").get(url)
    with pytest.raises(UpstreamError, match="may not reach"):
        await http.fetcher(PUBLIC_ONLY, source="outside").get(url)


async def test_a_name_that_does_not_exist_says_so(http: Http) -> None:
    with pytest.raises(UpstreamError, match=r"nowhere\.invalid cannot be resolved: .* \(tried 5 times"):
        await http.fetcher(OPEN).get("http://nowhere.invalid/")


async def test_a_name_that_is_not_answered_for_ends_in_time() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return [f"{host}:{port}"]

    policy = HttpPolicy(requests=1000, attempts=2, connect_seconds=0.05)
    async with HttpClient(user_agent="k", contact="c", resolver=never, clock=Waits().clock()) as one:
        told = r"no connection within 0\.05 s, the source's `connect_timeout` \(tried 2 times"
        with pytest.raises(UpstreamError, match=told):
            await one.bound(policy, source="s").get("http://slow.example/")


# -- TLS -------------------------------------------------------------------------------------------------------------


async def test_a_certificate_of_nobody_is_an_error_at_once(http: Http, certificate: Certificate) -> None:
    async with running(certificate.server()) as server:
        url = server.on("/", answer())
        with pytest.raises(UpstreamError, match=r"certificate is not trusted: self.signed certificate \(tried once\)"):
            await http.fetcher().get(url)
        assert server.requests == []


async def test_a_certificate_for_another_name_is_an_error(certificate: Certificate) -> None:
    async with running(certificate.server()) as server, client(["127.0.0.1"], tls=certificate.trusted()) as one:
        with pytest.raises(UpstreamError, match=r"certificate is not trusted: .*not valid for 'other\.example'"):
            await one.bound(OPEN, source="s").get(f"https://other.example:{server.port}/")


async def test_a_trusted_certificate_is_checked_against_the_name_not_the_address(certificate: Certificate) -> None:
    async with running(certificate.server()) as server, client(["127.0.0.1"], tls=certificate.trusted()) as one:
        server.on("/", answer(body="safe"))
        assert (await one.bound(OPEN, source="s").get(f"https://localhost:{server.port}/")).body == b"safe"


async def test_credentials_do_not_follow_from_https_to_http(certificate: Certificate, upstream: Upstream) -> None:
    async with running(certificate.server()) as server, client(tls=certificate.trusted()) as one:
        target = upstream.on("/", answer(body="plain"))
        url = server.on("/", answer(302, headers={"Location": target}))
        fetcher = one.bound(OPEN, source="s")
        with pytest.raises(UpstreamError, match=f"redirected from https to {target}, which would show credentials"):
            await fetcher.get(url, headers={"X-Api-Key": "abc"})
        assert upstream.requests == []
        assert (await fetcher.get(url)).body == b"plain"


async def test_a_server_that_speaks_no_tls_is_an_error(http: Http) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        with pytest.raises(UpstreamError, match=r"no TLS connection: WRONG_VERSION_NUMBER \(tried 5 times"):
            await http.fetcher().get(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


# -- HTTP/2 ----------------------------------------------------------------------------------------------------------


class Http2:
    """An HTTP/2 server of one answer: `body` to the streams, or a reset of the stream while `resets` last."""

    def __init__(self, body: bytes, resets: int = 0, length: int | None = None) -> None:
        self._body = body
        self._resets = resets
        self._length = length if length is not None else len(body)
        self.requests = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.CancelledError):  # how the end of the test ends it
            await self._converse(reader, writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_outbound_headers=False)
        )
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._answer(connection, event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    def _answer(self, connection: h2.connection.H2Connection, stream: int) -> None:
        self.requests += 1
        if self.requests <= self._resets:
            connection.reset_stream(stream, error_code=7)
            return
        connection.send_headers(stream, [(":status", "200"), ("content-length", str(self._length))])
        connection.send_data(stream, self._body, end_stream=True)


async def fetch_by_http2(server: Http2, certificate: Certificate, times: int) -> list[bytes]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=certificate.server("h2", "http/1.1"))
    async with listening, client(tls=certificate.trusted()) as one:
        fetcher = one.bound(HttpPolicy(requests=1000, allow_private=True, attempts=3), source="s")
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        return [fetched.body for fetched in await asyncio.gather(*(fetcher.get(url) for _ in range(times)))]


async def test_http2_is_spoken_where_it_is_offered(certificate: Certificate) -> None:
    server = Http2(b"two")
    assert await fetch_by_http2(server, certificate, 6) == [b"two"] * 6
    assert (server.requests, server.connections) == (6, 1)


async def test_a_stream_that_is_reset_is_asked_for_again(certificate: Certificate) -> None:
    server = Http2(b"two", resets=2)
    assert await fetch_by_http2(server, certificate, 1) == [b"two"]
    assert (server.requests, server.connections) == (3, 1)


async def test_a_body_shorter_than_announced_is_an_error_by_http2_too(certificate: Certificate) -> None:
    server = Http2(b"two", length=10)
    with pytest.raises(UpstreamError, match=r"connection broke: .*Expected 10 bytes, received 3 \(tried 3 times"):
        await fetch_by_http2(server, certificate, 1)
