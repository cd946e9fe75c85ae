"""A process that is stopped (SIGSTOP) holds nothing for ever: its run is taken over, and can't write when it wakes.

With times shortened; tests/long has the real ones.
"""

from functools import partial

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.connections import COORDINATOR_SETTINGS
from kasparro.ingestion.coordinator import hold
from tests.recovery.stopped_run import PLACES
from tests.recovery.stopping_processes import check_take_over


@pytest.mark.parametrize("place", PLACES)
async def test_stopped_run_is_taken_over_and_can_not_write_when_it_wakes(
    database: ConnectionOptions, connection: Connection, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setitem(COORDINATOR_SETTINGS, "lock_timeout", "200ms")
    monkeypatch.setattr("kasparro.ingestion.run.hold", partial(hold, stuck_after_seconds=0.5))
    await check_take_over(database, connection, place, seconds=1)
