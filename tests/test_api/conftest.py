"""The application over a real database, asked in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from kasparro.api.app import create_app
from kasparro.core.database import Connection, ConnectionOptions, Pool, create_pool


@pytest.fixture
async def pool(database: ConnectionOptions) -> AsyncIterator[Pool]:
    """A pool over the test's own database."""
    pool = await create_pool(database, application_name="kasparro:test-api", max_size=4)
    yield pool
    await pool.close()


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application."""
    transport = httpx.ASGITransport(create_app(pool), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
        yield client


@pytest.fixture
async def records(connection: Connection) -> None:
    """Two sources, `quakes` (csv) and `news` (rss), with five live records and a deleted one."""
    await connection.execute("""
        insert into sources (name, type, identity, config_hash)
        values ('quakes', 'csv', '{}', ''), ('news', 'rss', '{}', '');
        insert into unified_data
            (source_id, record_key, title, tags, value, unit, occurred_at, attributes, content_hash, record_hash,
             raw_id, run_id, pass_id, mapping_version, first_seen_at, last_changed_at, deleted_at)
        select s.id, v.key, v.title, v.tags, v.value, v.unit, v.occurred_at, v.attributes, '', '', 7, 3, 2, 1,
               '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.678901Z', v.deleted_at
        from (values
            (1, 'quakes', 'q1', 'Café "Ö" \\', array['a', 'b'], 12345678901234567890.120300::numeric, 'ml',
             '2018-02-07T01:26:13.84Z'::timestamptz, '{"depth": "26.49"}'::jsonb, null::timestamptz),
            (2, 'quakes', 'q2', 'second', null, 100::numeric, null, '2018-02-07T02:26:13+01'::timestamptz, null, null),
            (3, 'quakes', 'gone', 'deleted', null, null, null, null, null, now()),
            (4, 'news', 'n1', null, null, null, null, null, null, null),
            (5, 'news', 'n2', null, null, null, null, null, null, null),
            (6, 'quakes', 'q3', 'third', null, 0.000001, null, null, null, null)
        ) v(position, source, key, title, tags, value, unit, occurred_at, attributes, deleted_at)
        join sources s on s.name = v.source
        order by v.position
    """)
