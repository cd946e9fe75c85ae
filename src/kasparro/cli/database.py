"""Short-lived connections for commands that only ask."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kasparro.cli.frame import Context

if TYPE_CHECKING:
    from kasparro.core.database import Connection, ConnectionOptions

LOOK_TIMEOUT_SECONDS: Final = 5.0
"""How long commands that look at what is there wait for a database that does not answer."""


async def connect_briefly(options: "ConnectionOptions", command: str) -> "Connection":
    """A connection for a command that is to say how things stand, and so waits for less. Raises DatabaseError."""
    from kasparro.core.database import connect

    seconds = min(options.connect_timeout_seconds, LOOK_TIMEOUT_SECONDS)
    brief = replace(options, connect_timeout_seconds=seconds)
    return await connect(brief, application_name=f"kasparro:{command}")


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
