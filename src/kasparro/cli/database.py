"""A short-lived connection for commands that only ask."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kasparro.cli.frame import Context

if TYPE_CHECKING:
    from kasparro.core.database import Connection


@asynccontextmanager
async def connected(context: Context, command: str) -> "AsyncGenerator[Connection]":
    """A connection to a database whose schema is current; driver errors become house errors."""
    from kasparro.core.database import connect, house_errors, resolve
    from kasparro.services.migrations import require_current

    options = await resolve(context.settings, report=context.note)
    connection = await connect(options, application_name=f"kasparro:{command}")
    try:
        with house_errors():
            await require_current(connection)
            yield connection
    finally:
        await connection.close()
