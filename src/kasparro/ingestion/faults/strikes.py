"""Carries plans out: what happens at a point is what the real thing would do there, and takes the same way.

`kill` is SIGKILL to this process. `disconnect` ends a database socket and goes on; whoever uses the connection next
finds it gone: the lane's own, or for `fetch` and `transform` the coordinator's, which holds the source's lock. `error`
and `timeout` raise: an upstream that refuses or does not answer, a bug in a normalizer, the driver's own errors.
"""

import os
import signal
from collections.abc import Callable
from typing import Final, NoReturn

import asyncpg

from kasparro.core.database import house_errors
from kasparro.core.errors import SourceError, UpstreamError
from kasparro.ingestion.faults.plans import FaultPlan

_DRIVER_ERRORS: Final[dict[tuple[str, str], type[Exception]]] = {
    ("load", "error"): asyncpg.PostgresIOError,  # the run fails
    ("load", "timeout"): asyncpg.LockNotAvailableError,  # lock_timeout: the batch is written again
    ("checkpoint", "error"): asyncpg.DiskFullError,
    ("checkpoint", "timeout"): asyncpg.QueryCanceledError,  # statement_timeout: the run fails
    ("commit", "error"): asyncpg.SerializationError,  # refused, so that nothing was written: the batch is written again
    ("commit", "timeout"): TimeoutError,  # nobody knows what became of it, and it did not happen
    ("committed", "error"): asyncpg.ConnectionDoesNotExistError,  # nobody knows, and it did happen
    ("committed", "timeout"): TimeoutError,
}


def carry_out(plan: FaultPlan, sever: Callable[[], None], fail: Callable[[FaultPlan], NoReturn]) -> None:
    """Kill this process, end the connection, or let `fail` raise."""
    if plan.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif plan.kind == "disconnect":
        sever()
    else:
        fail(plan)


def fail_as_database(plan: FaultPlan) -> NoReturn:
    """What the driver raises there, as the house error that it becomes."""
    with house_errors():
        raise _DRIVER_ERRORS[plan.point, plan.kind](f"injected fault {plan}")
    raise AssertionError("a driver's error was kept back")


def fail_as_upstream(plan: FaultPlan, source_type: str, partition: str) -> NoReturn:
    """What a source raises that cannot be read: an upstream that refuses or does not answer, or a file."""
    reason = "no answer in time" if plan.kind == "timeout" else "cannot be read"
    message = f"{partition}: {reason} (injected fault {plan})"
    raise SourceError(message) if source_type == "csv" else UpstreamError(message, url=partition)


def fail_as_bug(plan: FaultPlan) -> NoReturn:
    """What nobody expected: transform raises nothing for whatever a record may hold."""
    raise (TimeoutError if plan.kind == "timeout" else RuntimeError)(f"injected fault {plan}")
