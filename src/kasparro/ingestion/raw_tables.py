"""Makes room for the raw rows of a run: partitions of this month and of the next."""

from datetime import UTC, datetime

import structlog

from kasparro.core.database import Connection, house_errors
from kasparro.core.errors import ContentionError
from kasparro.services import raw_partitions

log = structlog.get_logger()


async def prepare(connection: Connection) -> None:
    """Make this month's and the next partitions; when others are in the way, the default partitions take the rows."""
    try:
        with house_errors():
            async with connection.transaction():
                await raw_partitions.ensure(connection, datetime.now(UTC))
    except ContentionError as error:
        log.warning("raw_partitions.postponed", message=error.message)
