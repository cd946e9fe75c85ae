"""The way to the database delays, stalls, cuts and goes silent: the run ends as over a good one, within bounds.

The whole matrix is in tests/long.
"""

import asyncio

import pytest

from kasparro.core.database import Connection
from kasparro.ingestion import connections, store
from kasparro.ingestion.run import Conditions
from tests.fix_proxy import Way, error_response
from tests.recovery.facts import Facts, facts_of
from tests.recovery.trouble import NAME, Troubled, run, states


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are pinged often, and believed dead soon."""
    monkeypatch.setattr(connections, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connections, "PING_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(store, "ROLLBACK_SECONDS", 0.1)


async def nothing() -> None:
    """No trouble."""


async def test_slow_way_changes_nothing(connection: Connection, way: Way, untroubled: Facts) -> None:
    async def slow() -> None:
        way.delay_seconds = (0.002, 0.008)

    outcome = await run(Troubled(slow, at=0, batch_size=20), Conditions(way.options))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["partial"]


async def test_stall_that_ends_is_waited_out(connection: Connection, way: Way, untroubled: Facts) -> None:
    async def stall() -> None:
        way.stall()
        asyncio.get_running_loop().call_later(0.3, way.flow)

    outcome = await run(Troubled(stall), Conditions(way.options))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["partial"]


@pytest.mark.usefixtures("watchful")
@pytest.mark.parametrize("trouble", ["cut", "freeze", "half_close"])
async def test_lost_way_is_taken_anew(connection: Connection, way: Way, untroubled: Facts, trouble: str) -> None:
    """After `freeze` and `half_close` the server still believes in the sessions, and in the lock of one of them."""

    async def befall() -> None:
        assert getattr(way, trouble)() == 3  # the coordinator and two lanes

    outcome = await run(Troubled(befall), Conditions(way.options))
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["interrupted", "partial"]


async def test_way_that_is_cut_in_the_middle_of_a_copy_is_taken_anew(
    connection: Connection, way: Way, untroubled: Facts
) -> None:
    way.cut_in_copy = 4
    outcome = await run(Troubled(nothing), Conditions(way.options))
    assert way.cut_in_copy == 0, "the cut was to happen"
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["interrupted", "partial"]


@pytest.mark.parametrize(
    ("state", "message", "at_work"),
    [("57P03", "the database system is starting up", True), ("53300", "sorry, too many clients already", False)],
)
async def test_server_that_says_that_it_will_be_back_is_waited_for(
    connection: Connection, way: Way, untroubled: Facts, state: str, message: str, at_work: bool
) -> None:
    async def refuse() -> None:
        way.refusals += [error_response(state, message)] * 3
        way.cut()

    if not at_work:
        await refuse()
    outcome = await run(Troubled(refuse if at_work else nothing), Conditions(way.options))
    assert way.refusals == []
    assert outcome.error is None
    assert await facts_of(connection, NAME) == untroubled
    assert await states(connection) == ["interrupted"] * at_work + ["partial"]


async def test_wait_for_a_server_ends_when_the_run_is_asked_to_stop(connection: Connection, way: Way) -> None:
    stop = asyncio.Event()

    async def refuse() -> None:
        way.refusals += [error_response("57P03", "the database system is starting up")] * 10_000
        way.cut()
        asyncio.get_running_loop().call_later(0.2, stop.set)

    outcome = await run(Troubled(refuse), Conditions(way.options, stop=stop))
    assert outcome.error is not None
    assert await states(connection) == ["running"]  # nobody could close it; shown as interrupted by whoever looks


async def test_dead_peer_is_noticed_by_the_kernel(way: Way) -> None:
    import socket

    from kasparro.core.database import connect

    opened = await connect(way.options, application_name="kasparro:test")
    peer: socket.socket = opened._transport.get_extra_info("socket")
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    await opened.close()
