"""Commands as processes of their own, as a user would run them, however long they take."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kasparro.core.database import ConnectionOptions
from tests.acceptance.kasparro_process import environment
from tests.recovery.facts import url_of

Watcher = Callable[[int], Awaitable[None]]
"""Called with a process's id, and cancelled at its end."""


async def run_once(
    options: ConnectionOptions, folder: Path, *arguments: str, watcher: Watcher | None = None
) -> dict[str, Any]:
    """`kasparro run --json --quiet` over the one source of a folder; its outcome.

    Raises RuntimeError unless the run succeeded and every record was good.
    """
    command = (sys.executable, "-m", "kasparro", "run", "--json", "--quiet", *arguments)
    env = user_environment(DATABASE_URL=url_of(options))
    text = await capture(*command, env=env, cwd=folder, watcher=watcher)
    outcome: dict[str, Any] = json.loads(text)["data"][0]
    if outcome["records"]["rejected"]:
        raise RuntimeError(f"kasparro run rejected {outcome['records']['rejected']} records")
    return outcome


def user_environment(**variables: str) -> dict[str, str]:
    """What the tests set for a command, without warnings as errors: users do not set that."""
    found = environment(**variables)
    del found["PYTHONWARNINGS"]
    return found


async def capture(
    *command: str, env: dict[str, str], cwd: Path, watcher: Watcher | None = None, exit_code: int = 0
) -> str:
    """Standard output of a command. Raises RuntimeError, with what it said, when it ends with another exit code."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    watching = asyncio.ensure_future(watcher(process.pid)) if watcher else None
    stdout, stderr = await process.communicate()
    if watching is not None:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    if process.returncode != exit_code:
        raise RuntimeError(f"{' '.join(command[:4])} ended with {process.returncode}: {stderr.decode()}")
    return stdout.decode()
