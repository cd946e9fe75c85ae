"""Configured sources made ready to run, with the one HTTP client that a command has."""

import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kasparro.cli.frame import Context
from kasparro.core.errors import UsageError

if TYPE_CHECKING:
    from kasparro.core.settings import Settings
    from kasparro.ingestion.http.reporting import Observe
    from kasparro.ingestion.job import SourceJob
    from kasparro.ingestion.registry import Fetchers
    from kasparro.schemas.configuration import AnySourceConfig


@asynccontextmanager
async def open_jobs(context: Context, names: Sequence[str]) -> "AsyncGenerator[list[SourceJob]]":
    """The configured sources of these names (none: all), for as long as the block lasts.

    Raises ConfigurationError; UsageError for an unknown name.
    """
    from kasparro.ingestion.http.tally import Tallies
    from kasparro.ingestion.job import build_job
    from kasparro.schemas.configuration import load_configuration

    alerts = load_configuration(context.config_path, os.environ).alerts
    chosen, tallies, base = choose(context, names), Tallies(), context.config_path.parent
    async with open_fetchers(context.settings, chosen, tallies.observe) as fetchers:
        jobs = [build_job(config, base, fetchers, tallies.of(config.name)) for config in chosen]
        yield [replace(job, alerts=alerts.rules(job.source.name)) for job in jobs]


@asynccontextmanager
async def open_fetchers(
    settings: "Settings", sources: "Iterable[AnySourceConfig]", observe: "Observe | None" = None
) -> "AsyncGenerator[Fetchers | None]":
    """What gives each of these sources its HTTP client, which tells `observe` of all it does; None where none of them
    needs one."""
    from kasparro import __version__
    from kasparro.ingestion.registry import needs_http

    if not any(map(needs_http, sources)):
        yield None
        return
    from kasparro.ingestion.http.client import HttpClient

    contact = settings.contact or "no contact given"
    async with HttpClient(user_agent=f"kasparro/{__version__}", contact=contact, observe=observe) as client:
        yield client.bound


def choose(context: Context, names: Sequence[str]) -> "list[AnySourceConfig]":
    """The configured sources of these names (none: all), in the order of the names. Raises UsageError."""
    from kasparro.schemas.configuration import load_configuration
    from kasparro.schemas.configuration.nearest import nearest

    path = context.config_path
    configured = {source.name: source for source in load_configuration(path, os.environ).sources}
    for name in names:
        if name not in configured:
            hint = f"Sources in {path}: {', '.join(configured)}"
            raise UsageError(f'there is no source "{name}"{nearest(name, configured)}', hint=hint)
    return [configured[name] for name in (names or configured)]
