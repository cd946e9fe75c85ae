"""`kasparro scheduler`: every source at its time, until stopped."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result

if TYPE_CHECKING:
    from kasparro.workers.alerting import Hook


@command(example="kasparro scheduler", service="scheduler")
async def scheduler(context: Context) -> Result:
    """Run every source at its schedule, and queued runs as they come. SIGTERM ends it once the batch in hand is in."""
    from kasparro.cli.background import SCHEDULER, held_by_service

    with held_by_service(context.settings, SCHEDULER, context.note):
        return await _work(context)


async def _work(context: Context) -> Result:
    from datetime import timedelta
    from functools import partial

    from kasparro.cli.companion import end_with_parent
    from kasparro.cli.jobs import open_jobs
    from kasparro.cli.stopping import stop_on_signals
    from kasparro.core.database import resolve
    from kasparro.ingestion.run import Conditions
    from kasparro.ingestion.source import BatchLimits
    from kasparro.schemas.configuration.schedule import every
    from kasparro.workers.scheduler import Scheduled, Scheduler

    settings = context.settings
    options = await resolve(settings, report=context.note)
    usual = every(timedelta(minutes=settings.etl_interval_minutes))
    async with open_jobs(context, []) as jobs:
        scheduled = [Scheduled(job, job.schedule or usual) for job in jobs]
        with stop_on_signals(settings.stop_grace_seconds) as stop:
            end_with_parent(stop)
            limits = BatchLimits(records=settings.batch_records)
            revive = partial(resolve, settings, even_if_stopped=False)
            conditions = Conditions(
                options, revive=revive, stop=stop.event, at_once=stop.at_once, limits=limits,
                stop_grace_seconds=settings.stop_grace_seconds, deadline_seconds=settings.run_deadline_seconds,
            )  # fmt: skip
            async with _hooks(context) as hooks:
                await Scheduler(scheduled, conditions, lanes=settings.lanes, hooks=hooks).run()
    return Result({"stopped": True}, [], stop.exit_code or 0)


@asynccontextmanager
async def _hooks(context: Context) -> "AsyncGenerator[list[Hook]]":
    """Who is told of alerts."""
    from kasparro.schemas.configuration import load_configuration

    configured = load_configuration(context.config_path, os.environ).alerts.hooks
    if not configured:
        yield []
        return
    from kasparro.workers.hooks import open_hooks

    async with open_hooks(configured, context.settings.contact) as hooks:
        yield hooks
