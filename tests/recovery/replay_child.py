"""A plan that is applied by a process of its own, which a fault kills."""

import asyncio
import logging
from pathlib import Path

import structlog

from kasparro.core.database import connect, parse_url
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.services import replay_plans
from tests.replays import MIXED, Items


def apply(url: str, folder: str, name: str, plan: int, inject: str) -> None:
    """Apply the plan of a source of these items, under the mapping MIXED, with two lanes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_apply(url, Path(folder), name, plan, inject))


async def _apply(url: str, folder: Path, name: str, plan: int, inject: str) -> None:
    options = parse_url(url, {})
    connection = await connect(options, application_name="kasparro:test")
    items = Items(folder, options, connection, MIXED, name)
    planned = await replay_plans.find(connection, plan)
    await items.apply(planned, 2, Faults(parse_plans(inject, environment="test")))
