"""What `kasparro doctor` says of sources as the database knows them, and of its clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from kasparro.cli.finding import Finding
from kasparro.core.durations import about

if TYPE_CHECKING:
    from kasparro.core.database import Connection
    from kasparro.services.health import SourceStatus

SKEW_SECONDS: Final = 2.0
_FAILED: Final = frozenset({"failed", "systemic"})


async def check_sources(connection: "Connection") -> list[Finding]:
    """Each source: when it last succeeded, whether that is stale, whether its runs fail. The schema must be current."""
    from kasparro.services.health import read_source_statuses

    return [_check(source) for source in await read_source_statuses(connection)]


async def check_clock(connection: "Connection") -> Finding:
    """This machine's clock against that of the database, which stamps what a run commits."""
    from kasparro.services.health import server_time

    before, started = datetime.now(UTC), time.perf_counter()
    theirs = await server_time(connection)
    ours = before + timedelta(seconds=(time.perf_counter() - started) / 2)
    skew = (ours - theirs).total_seconds()
    if abs(skew) < SKEW_SECONDS:
        return Finding("clock", "ok", "as the database's")
    found = f"this machine is {about(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the database"
    return Finding("clock", "warn", found, "turn on time synchronisation (NTP), here or there")


def _check(source: "SourceStatus") -> Finding:
    name, run = f"source {source.name}", source.last_run
    if source.last_success_at is None:
        success = "no success yet"
    else:
        success = f"last success {about(source.age_seconds)} ago"
    if run is not None and run.state in _FAILED:
        circuit = "several runs in a row have failed" if source.circuit_state != "closed" else "the last run failed"
        found = f"{circuit} ({run.error_code}); {success}"
        return Finding(name, "warn", found, f"`kasparro runs show {run.id}` says why")
    if source.freshness == "stale" and source.stale_after_seconds is not None:
        found = f"stale: {success}, where its schedule allows {about(source.stale_after_seconds)}"
        return Finding(name, "warn", found, f"does the scheduler run? `kasparro run {source.name}` reads it now")
    return Finding(name, "ok", success if source.freshness == "fresh" else f"{success}; no scheduler reads it")
