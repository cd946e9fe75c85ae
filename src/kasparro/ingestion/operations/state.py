"""Changing a source's checkpoints by hand, while no run holds the source."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import NotFoundError
from kasparro.ingestion.coordinator import locked_source
from kasparro.services import checkpoints
from kasparro.services.checkpoints import PARTITION_LANE, Checkpoint
from kasparro.services.sources import SourceInfo


async def set_settled(
    options: ConnectionOptions, source: str, partition: str, state: dict[str, Any]
) -> dict[str, Any] | None:
    """Replace what a partition's last complete pass left behind, and drop its open pass; returns the old state.

    Raises NotFoundError for a partition that was never read, RunConflictError while a run holds the source.
    """
    async with _transaction(options, source) as (connection, found):
        rows = await checkpoints.lock_all(connection, found.id)
        own = [row for row in rows if row.partition == partition]
        if not own:
            known = ", ".join(sorted({row.partition for row in rows})) or "none"
            raise NotFoundError(f"source {source}: no partition {partition}", hint=f"partitions: {known}")
        settled = next((row for row in own if row.lane == PARTITION_LANE), None)
        await checkpoints.delete(connection, found.id, partition)
        pass_id, run_id = max(row.pass_id for row in own), max(row.run_id for row in own)
        new = Checkpoint.settled(partition, pass_id=pass_id, run_id=run_id, state=state, coverage="none")
        await checkpoints.settle(connection, new, found.id)
    return settled.cursor if settled else None


async def clear(options: ConnectionOptions, source: str, partition: str | None) -> list[Checkpoint]:
    """Remove the checkpoints of a source, or of one partition; returns them. Raises RunConflictError."""
    async with _transaction(options, source) as (connection, found):
        rows = await checkpoints.lock_all(connection, found.id)
        await checkpoints.delete(connection, found.id, partition)
    return [row for row in rows if partition in {None, row.partition}]


@asynccontextmanager
async def _transaction(options: ConnectionOptions, source: str) -> AsyncGenerator[tuple[Connection, SourceInfo]]:
    async with (
        locked_source(options, source) as (live, found),
        live.use() as connection,
        connection.transaction(),
    ):
        yield connection, found
