"""The real command, as a process of its own with an environment of its own."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON value that it must be."""
        return json.loads(self.stdout)


def environment(**variables: str) -> dict[str, str]:
    """What a command sees: nothing of this process's settings; the code from this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KASPARRO_", "PYTHON"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error",
        "KASPARRO_ENV_FILE": os.devnull,
        **variables,
    }


def link_to_code(folder: Path) -> str:
    """The PYTHONPATH of the same code outside of the repository, where no commit makes it another version meanwhile."""
    (folder / "code").mkdir()
    (folder / "code" / "kasparro").symlink_to(ROOT / "src" / "kasparro")
    return str(folder / "code")


async def start(*arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> asyncio.subprocess.Process:
    """Start Python with these arguments."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=env or environment(), cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def finish(process: asyncio.subprocess.Process) -> Ended:
    """Wait for its end."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


async def kasparro(*arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> Ended:
    """Run `kasparro` with these arguments to its end."""
    return await finish(await start("-m", "kasparro", *arguments, env=env, cwd=cwd))
