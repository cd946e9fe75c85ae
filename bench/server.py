"""An embedded server for one measurement, as a user's would be: durable, with the settings that kasparro ships."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kasparro.core import embedded
from kasparro.core.database import ConnectionOptions


@asynccontextmanager
async def own_server() -> AsyncGenerator[ConnectionOptions]:
    """A server in a temporary home that its user can reach; stopped and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ksp-") as folder:
        root = Path(folder)
        root.chmod(0o711)  # noqa: ASYNC240  a bench has nothing else to do meanwhile
        try:
            yield await embedded.ensure_running(root / "home")
        finally:
            await embedded.stop(root / "home")
