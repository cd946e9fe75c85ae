"""A stopped process (SIGSTOP) is taken over within two minutes, with the product's own times."""

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.recovery.stopped_run import PLACES
from tests.recovery.stopping_processes import check_take_over

PROMISED_SECONDS = 120


@pytest.mark.parametrize("place", PLACES)
async def test_stopped_run_is_taken_over_within_two_minutes(
    database: ConnectionOptions, connection: Connection, place: str
) -> None:
    assert await check_take_over(database, connection, place, seconds=0) < PROMISED_SECONDS
