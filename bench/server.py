"""The server that a measurement runs on: DATABASE_URL, or an embedded one as a user would have it."""

import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from kasparro.core import embedded
from kasparro.core.database import ConnectionOptions, parse_url

T = TypeVar("T")


async def on_a_server(work: Callable[[ConnectionOptions], Awaitable[T]]) -> T:
    """Do the work on the server of DATABASE_URL, or on one of its own that is removed afterwards."""
    url = os.environ.get("DATABASE_URL")
    if url:
        return await work(parse_url(url, os.environ))
    async with _own_server() as options:
        return await work(options)


@asynccontextmanager
async def _own_server() -> AsyncGenerator[ConnectionOptions]:
    """Durable, with the settings that kasparro ships, in a temporary home that its user can reach."""
    with tempfile.TemporaryDirectory(prefix="ksp-") as folder:
        root = Path(folder)
        root.chmod(0o711)  # noqa: ASYNC240  a bench has nothing else to do meanwhile
        try:
            yield await embedded.ensure_running(root / "home")
        finally:
            await embedded.stop(root / "home")
