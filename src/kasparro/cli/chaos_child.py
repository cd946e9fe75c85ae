"""One run of one source as a process of its own, forked from one that has imported everything: it may be killed."""

import asyncio
import signal
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import TYPE_CHECKING, Any, Final

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

BEGAN: Final = "began"
COMMITTED: Final = "committed"


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
    """How a run ended that was not killed: its error, if it had one, and the plans that were carried out."""

    error: str | None
    struck: tuple[FaultPlan, ...]


def obey(order: Order, answer: "Answer") -> None:
    """Run; send BEGAN when the source is claimed, COMMITTED after each batch, and a Report at the end.

    Ctrl-C in a terminal reaches this process too, and is for its parent to act on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging("CRITICAL", service="chaos")
    answer.send(asyncio.run(_run(order, answer)))


async def _run(order: Order, answer: "Answer") -> Report:
    settings = order.settings
    faults = Faults(order.plans)
    conditions = Conditions(
        order.options,
        revive=partial(resolve, settings, even_if_stopped=False),
        began=lambda _source, _run_id: answer.send(BEGAN),
        committed=lambda _source, _counters: answer.send(COMMITTED),
        faults=faults,
        limits=BatchLimits(records=settings.batch_records),
    )
    async with open_jobs(Context(settings, Output(quiet=True)), [order.source]) as jobs:
        job = replace(jobs[0], checks=())  # the load is what is compared: its data may be as they like
        outcome = await run_source(job, Request(trigger="cli", lanes=order.lanes), conditions)
    return Report(outcome.error and outcome.error.message, tuple(faults.struck))
