"""The least that can answer `GET /data?limit=`: a Starlette handler, the same rows, an equal pool, the same server.

python -m bench.bare_server --port 8001     (DATABASE_URL)
"""

import argparse
import asyncio
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kasparro.api.server import SERVER_SETTINGS
from kasparro.core.database import Pool, create_pool, parse_url
from kasparro.core.serving import serve_application

SQL = """
select row_to_json(record)::text from (
    select u.id, s.name as source, s.type as source_type, u.record_key, u.title, u.body, u.url, u.author, u.category,
           coalesce(u.tags, '{}') as tags, trim_scale(u.value)::text as value, u.unit,
           to_char(u.occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as occurred_at,
           u.entity_key, coalesce(u.attributes, '{}') as attributes, u.raw_id, u.run_id,
           to_char(u.first_seen_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as first_seen_at,
           to_char(u.last_changed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_changed_at
    from (select * from unified_data where deleted_at is null order by id limit $1) u
    join sources s on s.id = u.source_id
    order by u.id
) record
"""


def create_bare(pool: Pool) -> Starlette:
    """One route, nothing around it."""

    async def data(request: Request) -> Response:
        limit = int(request.query_params["limit"])
        async with pool.acquire() as connection:
            rows = await connection.fetch(SQL, limit)
        return Response(f'{{"data":[{",".join([row[0] for row in rows])}]}}', media_type="application/json")

    return Starlette(routes=[Route("/data", data)])


async def serve(port: int, connections: int) -> None:
    """Serve until stopped."""
    options = parse_url(os.environ["DATABASE_URL"], {})
    pool = await create_pool(
        options, application_name="kasparro:bare", max_size=connections, server_settings=SERVER_SETTINGS
    )
    await serve_application(create_bare(pool), host="127.0.0.1", port=port)


def main() -> None:
    """Serve as told by the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=10)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.connections))


if __name__ == "__main__":
    main()
