"""One run of one source as a process of its own, forked from one that has imported everything: it may be killed."""

import asyncio
import signal
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import TYPE_CHECKING, Any

from kasparro.cli.frame import Context
from kasparro.cli.jobs import open_jobs
from kasparro.cli.output import Output
from kasparro.core.database import ConnectionOptions, resolve
from kasparro.core.logging import configure_logging
from kasparro.core.settings import Settings
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import FaultPlan, Faults
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import BatchLimits

if TYPE_CHECKING:
    Answer = Pipe[Any, Any]
else:
    Answer = Pipe


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, where to, and what is to go wrong."""

    settings: Settings
    options: ConnectionOptions
    source: str
    lanes: int
    plans: tuple[FaultPlan, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended that was not killed: its error, if it had one, and the plans that were carried out.

    `began_at` is when it had claimed its source, by the machine's monotonic clock; None when it came not that far.
    """

    error: str | None
    struck: tuple[FaultPlan, ...]
    began_at: float | None


def obey(order: Order, answer: "Answer") -> None:
    """Run, and send a Report. Ctrl-C in a terminal reaches this process too, and is for its parent to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging("CRITICAL", service="chaos")
    answer.send(asyncio.run(_run(order)))


async def _run(order: Order) -> Report:
    settings = order.settings
    faults = Faults(order.plans)
    began_at: list[float] = []
    conditions = Conditions(
        order.options,
        revive=partial(resolve, settings, even_if_stopped=False),
        began=lambda _source, _run_id: began_at.append(time.monotonic()),
        faults=faults,
        limits=BatchLimits(records=settings.batch_records),
    )
    async with open_jobs(Context(settings, Output(quiet=True)), [order.source]) as jobs:
        outcome = await run_source(jobs[0], Request(trigger="cli", lanes=order.lanes), conditions)
    return Report(outcome.error and outcome.error.message, tuple(faults.struck), began_at[0] if began_at else None)
