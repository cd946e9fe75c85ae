"""Asks every operation of a running server for what nobody thought of, and holds the answers against /openapi.json."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kasparro.core.api_keys import make_key
from kasparro.core.database import ConnectionOptions, connect
from kasparro.services import keys
from tests.acceptance.kasparro_process import ROOT, Ended, environment, kasparro, start
from tests.recovery.facts import url_of

CONFIGURATION = ROOT / "tests" / "schemathesis.toml"
LONGEST_SECONDS = 1200
PHASES = "examples,coverage,fuzzing,stateful"


@asynccontextmanager
async def service(options: ConnectionOptions, folder: Path, port: int) -> AsyncGenerator[tuple[str, str]]:
    """What the folder configures, loaded; then its API for holders of keys, and a scheduler. Its URL and a key."""
    env = environment(
        DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"), KASPARRO_READ_KEY_REQUIRED="true",
        KASPARRO_REQUESTS_PER_MINUTE="0",
    )  # fmt: skip
    loaded = await kasparro("run", "--quiet", env=env, cwd=folder)
    assert loaded.exit_code == 0, loaded.stderr
    key = make_key()
    connection = await connect(options, application_name="kasparro:test")
    await keys.insert(connection, key, name="schemathesis", scope="admin", expires_at=None)
    await connection.close()
    process = await start("-m", "kasparro", "serve", "--with-scheduler", "--port", str(port), env=env, cwd=folder)
    assert process.stdout is not None
    while b"server.started" not in (line := await process.stdout.readline()):
        assert line
    drained = asyncio.create_task(process.communicate())
    try:
        yield f"http://127.0.0.1:{port}", key.text
    finally:
        process.send_signal(signal.SIGTERM)
        log, errors = await drained
    assert (process.returncode, errors) == (143, b"")
    assert b"http.crashed" not in log, log[log.index(b"http.crashed") - 2000 :][:4000]


async def ask_everything(url: str, key: str, folder: Path, *, seed: int, max_examples: int) -> Ended:
    """One run of schemathesis with all its checks."""
    program = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--config-file", str(CONFIGURATION), "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {key}",
        "--checks", "all", "--phases", PHASES, "--seed", str(seed), "--max-examples", str(max_examples),
        "--generation-database", "none", "--continue-on-failure", "--request-timeout", "60", "--no-color",
        "--output-truncate", "false",
        env=environment(SCHEMATHESIS_HOOKS="tests.schemathesis_hooks", PYTHONPATH=str(ROOT), PYTHONWARNINGS="default"),
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())
