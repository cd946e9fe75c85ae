"""An HTTP client whose waiting costs no time, and certificates for servers on loopback."""

import asyncio
import functools
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from kasparro.ingestion.http.client import HttpClient
from kasparro.ingestion.http.clock import Clock
from kasparro.ingestion.http.contract import Fetcher, HttpPolicy
from kasparro.ingestion.http.reporting import Observation

NOON = 1_800_000_000.0
"""What the wall clock shows when a test begins."""


@dataclass
class Waits:
    """Time that passes only while somebody sleeps; backoff is always at its ceiling. `slept`: every wait so far."""

    slept: list[float] = field(default_factory=list[float])

    @property
    def now(self) -> float:
        return sum(self.slept)

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.now, wall=lambda: NOON + self.now, sleep=self._sleep, spread=lambda _, high: high
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Http:
    """A client, its clock, and all it told of."""

    client: HttpClient
    waits: Waits
    observed: list[Observation]

    def fetcher(self, policy: HttpPolicy | None = None, *, source: str = "quakes") -> Fetcher:
        return self.client.bound(policy or HttpPolicy(requests=1000, allow_private=True), source=source)


@dataclass(frozen=True)
class Certificate:
    """A certificate that signs itself, for `localhost` and 127.0.0.1."""

    path: Path
    key: Path

    def server(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        context.set_alpn_protocols(list(alpn or ["http/1.1"]))
        return context

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


@functools.cache
def authorities() -> ssl.SSLContext:
    """Those that everybody trusts; read once, for that takes longer than most tests."""
    return httpx.create_ssl_context(trust_env=False)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """A client that trusts no certificate of ours and sleeps in no time."""
    waits = Waits()
    observed: list[Observation] = []
    async with HttpClient(
        user_agent="kasparro/test",
        contact="https://example.org/us",
        tls=authorities(),
        clock=waits.clock(),
        observe=observed.append,
    ) as client:
        yield Http(client, waits, observed)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Made anew for the session, by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(made.key), "-out", str(made.path)], check=True, capture_output=True)
    return made
