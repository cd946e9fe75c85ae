"""Transactions that lost to another one: they wrote nothing, and may be tried again a few times."""

from collections.abc import Awaitable, Callable
from typing import Final

from kasparro.core.errors import ContentionError

ATTEMPTS: Final = 3


async def repeated(transaction: Callable[[], Awaitable[None]]) -> None:
    """Raises ContentionError when each attempt meets one, and at once whatever else is raised."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await transaction()
        except ContentionError:
            continue
    return await transaction()
