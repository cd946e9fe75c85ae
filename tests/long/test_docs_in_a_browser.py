"""`/docs` as a browser shows it, behind its own content security policy; and `docs/openapi.json` before a linter.

Chromium and npm are Debian packages (`chromium`, `npm`); where one is missing its test is skipped, and says so.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kasparro.api.app import create_app
from kasparro.core.database import ConnectionOptions, create_pool
from kasparro.core.serving import serve_application
from tests.acceptance.kasparro_process import ROOT

pytestmark = pytest.mark.long

KNOWN = "Deprecated: escaping deep link whitespace"
"""Swagger UI speaks of any operation with an underscore in its name."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-logging=stderr",
    "--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--dump-dom",
)  # fmt: skip


def required(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        pytest.skip(f"{command} is not installed: apt install {command}")
    return path


@pytest.fixture
async def url(database: ConnectionOptions, port: int) -> AsyncIterator[str]:
    pool = await create_pool(database, application_name="kasparro:test-docs")
    ready = asyncio.Event()
    serving = asyncio.create_task(serve_application(create_app(pool), host="127.0.0.1", port=port, on_ready=ready.set))
    await ready.wait()
    yield f"http://127.0.0.1:{port}"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await pool.close()


async def dumped(url: str, profile: Path) -> tuple[str, str]:
    """The page's elements after its scripts have run, and what the browser had to say."""
    browser = await asyncio.create_subprocess_exec(
        required("chromium"), *FLAGS, f"--user-data-dir={profile}", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        page, said = await browser.communicate()
    return page.decode(), said.decode(errors="replace")


def complaints(said: str) -> list[str]:
    """What stands in the console, where breaches of the policy are told of, too."""
    return [line for line in said.splitlines() if "CONSOLE" in line and KNOWN not in line]


async def test_a_browser_draws_every_operation_and_complains_of_nothing(url: str, tmp_path: Path) -> None:
    page, said = await dumped(f"{url}/docs", tmp_path)
    described = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    assert set(re.findall(r'data-path="([^"]+)"', page)) == set(described)
    assert "Authorize" in page
    assert complaints(said) == []


async def test_an_opened_operation_shows_its_parameters_and_problems(url: str, tmp_path: Path) -> None:
    page, said = await dumped(f"{url}/docs#/data/list_data", tmp_path)
    for text in ("Try it out", "occurred_at", "application/problem+json", "Too many requests."):
        assert text in page, text
    assert complaints(said) == []


def test_the_description_is_clean_to_a_linter() -> None:
    required("npm")
    make = required("make")
    ended = subprocess.run(
        [make, "docs-lint"], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Your API description is valid" in ended.stdout + ended.stderr
