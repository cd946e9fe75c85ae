"""After a run that has loaded much: see to it that reading is planned well at once, not when autovacuum comes by."""

from typing import Final

import structlog

from kasparro.core.errors import DatabaseError
from kasparro.ingestion.connections import LiveConnection
from kasparro.services import statistics

FEWEST_RECORDS: Final = 1_000
"""A run that inserts fewer leaves the planner's mistakes to autovacuum: they cost little, or are old."""
log = structlog.get_logger()


async def refresh_statistics(live: LiveConnection, source: str, source_id: int, *, inserted: int) -> None:
    """Take statistics if the planner misjudges the source after so many new records. Never fails: the run is over."""
    if inserted < FEWEST_RECORDS:
        return
    try:
        async with live.use() as connection:
            if await statistics.misjudge(connection, source_id):
                async with connection.transaction():
                    await statistics.take(connection)
    except DatabaseError as error:
        log.warning("statistics.not_taken", source=source, message=error.message)
