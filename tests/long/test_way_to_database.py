"""Every trouble on the way to the database, at every batch of a small load: the digest is that of a good way."""

import pytest

from kasparro.core.database import Connection
from kasparro.ingestion import connections, store
from kasparro.ingestion.run import Conditions
from tests.fix_proxy import Way
from tests.recovery.facts import Facts, facts_of
from tests.recovery.trouble import NAME, ROWS, Troubled, run

pytestmark = pytest.mark.long
PLACES = range(0, len(ROWS) + 1, 3)


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are pinged often, and believed dead soon."""
    monkeypatch.setattr(connections, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connections, "PING_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(store, "ROLLBACK_SECONDS", 0.1)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("trouble", ["cut", "freeze", "half_close"])
async def test_lost_way_is_taken_anew(
    connection: Connection, way: Way, untroubled: Facts, trouble: str, at: int
) -> None:
    async def befall() -> None:
        getattr(way, trouble)()

    outcome = await run(Troubled(befall, at=at), Conditions(way.options))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
