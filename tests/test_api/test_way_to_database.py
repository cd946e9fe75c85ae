"""A bad way to the database: 503 and when to come back, soon; and 200 again by itself."""

import asyncio
import time

import httpx
import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.fix_proxy import Way, error_response
from tests.test_api.operating import operator
from tests.test_api.test_health import client_over

LONGEST_SECONDS = 3
"""It is one second; a machine that is busy with other tests gets more."""
PATHS = ("/health", "/data")


async def require_refused(client: httpx.AsyncClient, path: str) -> None:
    started = time.monotonic()
    answer = await client.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert time.monotonic() - started < LONGEST_SECONDS


async def require_well(client: httpx.AsyncClient) -> None:
    for path in PATHS:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("trouble", ["cut", "half_close"])
async def test_connections_that_ended_are_replaced_unseen(way: Way, trouble: str) -> None:
    """Whoever asks next is not told of it: the pool has heard of the end."""
    async with client_over(way.options) as (client, pool):
        await require_well(client)
        async with pool.acquire() as lent:
            ended = asyncio.Event()
            lent.add_termination_listener(lambda _: ended.set())
            assert getattr(way, trouble)() > 0
            await ended.wait()
        await require_well(client)


async def test_connections_that_have_gone_silent_cost_one_answer(way: Way) -> None:
    async with client_over(way.options) as (client, _):
        await require_well(client)
        assert way.freeze() > 0
        await require_refused(client, "/data")
        await require_well(client)


async def test_stalled_way_is_a_503_until_it_flows(way: Way) -> None:
    async with client_over(way.options) as (client, _):
        await require_well(client)
        way.stall()
        for path in PATHS * 2:
            await require_refused(client, path)
        way.flow()
        await require_well(client)


@pytest.mark.parametrize(
    ("state", "message"),
    [("57P03", "the database system is starting up"), ("53300", "sorry, too many clients already")],
)
async def test_server_that_takes_no_connection_is_a_503_until_it_does(way: Way, state: str, message: str) -> None:
    async with client_over(way.options) as (client, pool):
        await require_well(client)
        await pool.expire_connections()
        way.refusals += [error_response(state, message)] * 10_000
        for path in PATHS:
            await require_refused(client, path)
        way.refusals.clear()
        await require_well(client)


async def test_database_that_takes_no_writes_is_read_and_left_by_who_writes(
    database: ConnectionOptions, connection: Connection, way: Way
) -> None:
    headers = await operator(connection)
    await connection.execute("insert into sources (name, type, identity, config_hash) values ('s', 'csv', '{}', '')")
    await connection.execute("insert into workers (name) values ('test')")
    await connection.execute(f'alter database "{database.database}" set default_transaction_read_only = on')
    async with client_over(way.options) as (client, _):
        await require_well(client)
        refused = await client.post("/runs", json={"source": "s"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_read_only")
        assert int(refused.headers["retry-after"]) > 0
        await connection.execute(f'alter database "{database.database}" reset default_transaction_read_only')
        assert (await client.post("/runs", json={"source": "s"}, headers=headers)).status_code == 202
