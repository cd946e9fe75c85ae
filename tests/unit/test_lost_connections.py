"""What the driver raises around a connection that ends is one house error: start again from the database."""

import asyncpg
import pytest

from kasparro.core.database import house_errors
from kasparro.core.errors import ConnectionLostError


def test_operation_that_the_servers_last_words_interrupt_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLostError, match="cannot switch to state"), house_errors():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


def test_refused_roll_back_after_a_loss_is_a_lost_connection() -> None:
    """The driver's own transaction block rolls back, and what that raises hides what came first."""
    error = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    error.__context__ = asyncpg.InternalClientError("cannot switch to state 15")
    with pytest.raises(ConnectionLostError), house_errors():
        raise error


@pytest.mark.parametrize("before", [None, ValueError("of ours")])
def test_connection_that_two_tasks_use_at_once_is_a_mistake_of_ours(before: Exception | None) -> None:
    error = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    error.__context__ = before
    with pytest.raises(asyncpg.InterfaceError), house_errors():
        raise error
