"""A run whose process is stopped at a place, another that takes its pass over, and the first one's waking up."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, BinaryIO

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import RunConflictError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from tests.acceptance.kasparro_process import ROOT, environment
from tests.recovery.facts import facts_of, url_of
from tests.recovery.stopped_run import NAME, ROWS
from tests.scripted import ScriptedSource, job_of


@contextmanager
def started(
    options: ConnectionOptions, place: str, seconds: float
) -> Generator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """The process, killed at the end if it still is there, and the file that it prints into: a pipe may be full."""
    command = [sys.executable, "-m", "tests.recovery.stopped_run", url_of(options), place, str(seconds)]
    env = environment(PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    with (
        tempfile.TemporaryFile() as printed,
        subprocess.Popen(command, env=env, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process, printed
        finally:
            process.kill()


def said_in(printed: BinaryIO) -> str:
    printed.seek(0)
    return printed.read().decode()


async def taken_over(options: ConnectionOptions) -> RunOutcome:
    """Runs that are begun one after another, until one gets hold of the source."""
    while True:
        outcome = await run_source(job_of(ScriptedSource({"p": ROWS}, name=NAME)), Request(), Conditions(options))
        if not isinstance(outcome.error, RunConflictError):
            return outcome


async def left_behind(connection: Connection) -> list[Any]:
    """All that the stopped run has written."""
    batches = await connection.fetch("select * from etl_run_batches where run_id = 2 order by partition, lane, seq")
    return [dict(item) for item in batches] + [
        dict(await connection.fetchrow("select * from etl_runs where id = 2") or {})
    ]


async def check_take_over(options: ConnectionOptions, connection: Connection, place: str, *, seconds: float) -> float:
    """Stop a run at the place, take it over, wake it up; returns how long taking over took."""
    whole = job_of(ScriptedSource({"p": ROWS}, name="whole"))
    await run_source(whole, Request(lanes=2), Conditions(options))
    with started(options, place, seconds) as (process, printed):
        _, status = await asyncio.to_thread(os.waitpid, process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), said_in(printed)
        began = time.monotonic()
        outcome = await taken_over(options)
        took = time.monotonic() - began
        assert outcome.error is None
        assert outcome.row is not None
        assert outcome.row["resumes_run_id"] == 2
        expected = await facts_of(connection, "whole")
        assert await facts_of(connection, NAME) == expected

        before = await left_behind(connection)
        assert before[-1]["state"] == "interrupted"
        process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(process.wait)
        assert await left_behind(connection) == before, "it can't write when it wakes"
        assert said_in(printed).splitlines()[-1] == "partial None", said_in(printed)
    after = await facts_of(connection, NAME)
    assert (after.digest, after.unified, after.chains, after.inserted_and_updated) == (
        expected.digest, expected.unified, expected.chains, expected.inserted_and_updated,
    )  # fmt: skip
    assert after.digest == after.recomputed
    return took
