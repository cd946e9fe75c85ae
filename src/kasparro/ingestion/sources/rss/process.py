"""Parsing in a process of its own, which ends itself when a document takes too long or too much memory.

feedparser's patterns hold the interpreter while they match: 40 kB of blank lines take it 9 s, 1 MB over an hour, and
neither a thread nor a signal handler can end that. The kernel can (SIGPROF in its default disposition).
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, Self

from kasparro.core.errors import SourceError
from kasparro.ingestion.sources.rss.document import Request
from kasparro.ingestion.sources.rss.identity import Repeated

_CHILD: Final = "kasparro.ingestion.sources.rss.child"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's entries, each as a line of JSON; the rest as in `document.Document`."""

    lines: Sequence[bytes]
    repeated: Sequence[str]
    found: Repeated | None
    ttl_minutes: int | None
    malformed: str | None
    cut: bool


class ParserProcess:
    """Starts the process at the first document and again after one that ended it; one document at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def parse(self, body: bytes, request: Request) -> Parsed:
        """Raises SourceError, naming the feed and what is wrong with the document."""
        async with self._one_at_a_time:
            try:
                process = self._process = self._process or await _start(self._seconds)
                answer = await _ask(process, body, request)
            except BaseException:  # an answer may be left in the pipe, also after a cancellation
                await self._end()
                raise
            if answer is None:
                raise SourceError(f"{request.feed}: {await self._reason(process)}")
        header, *lines = answer.split(b"\n")
        about: dict[str, Any] = json.loads(header)
        if about["error"] is not None:
            raise SourceError(f"{request.feed}: {about['error']}")
        found = Repeated(**about["found"]) if about["found"] else None
        return Parsed(lines, about["repeated"], found, about["ttl_minutes"], about["malformed"], about["cut"])

    async def _reason(self, process: asyncio.subprocess.Process) -> str:
        """Why the process ended without an answer."""
        self._process = None
        _, errors = await process.communicate()
        if process.returncode == -signal.SIGPROF:
            return f"the document took more than {self._seconds:g} s of computing to parse"
        if process.returncode is not None and process.returncode < 0:
            return f"the document ended its parser ({signal.Signals(-process.returncode).name})"
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return f"the parser's process ended with {process.returncode}: {last}"

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                process.kill()
            await process.communicate()


async def _start(seconds: float) -> asyncio.subprocess.Process:
    """Times in the process are UTC; Ctrl-C in a terminal does not reach it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TZ": "UTC"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", _CHILD, str(seconds),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment, start_new_session=True,
    )  # fmt: skip


async def _ask(process: asyncio.subprocess.Process, body: bytes, request: Request) -> bytes | None:
    """The answer; None when the process ended without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps([len(body), asdict(request)]).encode() + b"\n" + body)
        await process.stdin.drain()
        length = await process.stdout.readline()
        return await process.stdout.readexactly(int(length)) if length.endswith(b"\n") else None
    except (BrokenPipeError, ConnectionResetError, asyncio.IncompleteReadError):
        return None
