"""What `kasparro doctor` says of the upstreams: one request to each API and feed as a run would send it, once."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast

from kasparro.cli.finding import Finding
from kasparro.cli.frame import Context
from kasparro.core.errors import ConfigurationError, KasparroError
from kasparro.core.masking import mask_text

if TYPE_CHECKING:
    from kasparro.ingestion.http.contract import Fetched, Fetcher, HttpPolicy
    from kasparro.ingestion.registry import Fetchers
    from kasparro.schemas.configuration import AnySourceConfig

WAIT_SECONDS: Final = 5.0
"""For all of them together: they are asked at the same time."""
SKEW_SECONDS: Final = 60.0
"""By which a server's Date may differ from this clock; a cache may have kept an answer for longer, but says so."""
_EXIT_UNREACHABLE: Final = 4
_TODO: Final = {
    "api": "is the address right, and the server up?",
    "rss": "is the address right, and the server up?",
    "csv": "put the file there, or mend `path:`",
}


async def check_upstreams(context: Context) -> list[Finding]:
    """Whether each configured source can be reached, with its credentials; of CSV sources, whether there are files."""
    from kasparro.cli.jobs import open_fetchers
    from kasparro.schemas.configuration import load_configuration

    try:
        sources = load_configuration(context.config_path, os.environ).sources
    except ConfigurationError:
        return []  # said by the check of the configuration
    async with open_fetchers(context.settings, sources) as fetchers:
        found = await asyncio.gather(*(_check(context, source, fetchers) for source in sources))
    return [finding for findings in found for finding in findings]


async def _check(context: Context, source: "AnySourceConfig", fetchers: "Fetchers | None") -> list[Finding]:
    name = f"upstream {source.name}"
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await _reached(context, name, source, fetchers)
    except TimeoutError:
        todo = "is the server up, and is there a way to it?"
        return [Finding(name, "fail", f"no answer within {WAIT_SECONDS:g} s", todo, _EXIT_UNREACHABLE)]
    except KasparroError as error:
        if _is_absent_demo(context, source):
            return [Finding(name, "warn", "the demo upstream, which does not run", "`kasparro up` starts it")]
        todo = mask_text(error.hint or _TODO[source.type])
        return [Finding(name, "fail", mask_text(error.message), todo, error.exit_code)]


async def _reached(
    context: Context, name: str, source: "AnySourceConfig", fetchers: "Fetchers | None"
) -> list[Finding]:
    from kasparro.ingestion.registry import build_source, needs_http

    answered = _Once(fetchers) if fetchers is not None and needs_http(source) else None
    reader = build_source(source, context.config_path.parent, answered)
    partitions = await reader.partitions()
    if answered is None:
        if not partitions:
            return [Finding(name, "fail", "there is nothing to read", _TODO["csv"], _EXIT_UNREACHABLE)]
        return [Finding(name, "ok", f"{len(partitions)} file{'s' if len(partitions) > 1 else ''}")]
    fetched = await answered.ask(reader, partitions[0])
    more = f"; the first of {len(partitions)}" if len(partitions) > 1 else ""
    found = f"answered {fetched.status} in {answered.seconds * 1000:.0f} ms{more}"
    return [Finding(name, "ok", found), *_clock(source.name, fetched)]


class _Enough(Exception):
    """The first answer is there; no other is asked for."""


class _Once:
    """Gives fetchers that try once, for a short time, and let a source have one answer."""

    def __init__(self, fetchers: "Fetchers") -> None:
        self._fetchers = fetchers
        self._fetcher: Fetcher | None = None
        self._fetched: Fetched | None = None
        self.seconds = 0.0

    def __call__(self, policy: "HttpPolicy", *, source: str) -> "Fetcher":
        brief = replace(policy, attempts=1, total_seconds=min(policy.total_seconds, WAIT_SECONDS))
        self._fetcher = self._fetchers(brief, source=source)
        return self

    async def get(self, url: str, **options: Any) -> "Fetched":
        """Ask, remember the answer, and keep the source from going on. Raises UpstreamError, _Enough."""
        assert self._fetcher is not None
        started = time.perf_counter()
        self._fetched = await self._fetcher.get(url, **options)
        self.seconds = time.perf_counter() - started
        raise _Enough

    async def ask(self, reader: Any, partition: str) -> "Fetched":
        """The answer to the first request of a reading. Raises UpstreamError."""
        from kasparro.ingestion.source import Start

        try:
            async with aclosing(cast("AsyncGenerator[object]", reader.read(partition, Start()))) as batches:
                await anext(batches)
        except _Enough:
            pass
        assert self._fetched is not None
        return self._fetched


def _clock(source: str, fetched: "Fetched") -> list[Finding]:
    """A finding where the server's time differs much from ours (RFC 9110, section 6.6.1; RFC 9111, section 5.1)."""
    try:
        said = parsedate_to_datetime(fetched.headers["date"])
        age_seconds = float(fetched.headers.get("age", "0"))
    except (KeyError, ValueError):
        return []  # a server without a clock need not send one
    said = said if said.tzinfo else said.replace(tzinfo=UTC)
    skew = (datetime.now(UTC) - said).total_seconds() - age_seconds
    if abs(skew) < SKEW_SECONDS:
        return []
    found = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server of {source}"
    return [Finding("clock", "warn", found, "turn on time synchronisation (NTP), here or there")]


def _is_absent_demo(context: Context, source: "AnySourceConfig") -> bool:
    from kasparro.cli.background import DEMO, Background
    from kasparro.cli.demo_process import reads_from_demo

    settings = context.settings
    return reads_from_demo(source, settings) and Background(settings.home, DEMO).find() is None
