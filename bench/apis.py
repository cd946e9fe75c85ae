"""What a record of a JSON API costs on top of a bare loop: 200,000 records in pages of 1,000, over loopback.

    python -m bench.apis --rounds 3 [--documents 200]

The bare loop (httpx, jiter) is timed without Python's start and imports; `kasparro run` with them, as a process, and by
its own clock besides. On the server of DATABASE_URL (whose kasparro tables are emptied!), or on an embedded one.
"""

import asyncio
from typing import Any

from bench.measuring import save, table
from bench.reading import Found, Reading, measure, parser_for
from bench.server import on_a_server

from kasparro.core.database import ConnectionOptions

CONFIGURATION = """
sources:
  - name: records
    type: api
    url: "{url}"
    allow_private: true
    records: data
    pagination: {type: page, param: page, start: 1, size_param: per_page, size: 1000}
    rate_limit: {requests: 100000, per: 1s}
    key: id
    map:
      title: name
      body: description
      category: kind
      value: price
      unit: currency
      occurred_at: updated_at
      entity_key: owner.login
      tags: labels
      attributes: {stars: stars, archived: archived}
"""


def show(found: Found) -> None:
    """Microseconds a record, and how many of them come on top of the bare loop."""
    rows: list[tuple[str, ...]] = []
    for one in (found.bare, found.whole, found.itself):
        on_top = "" if one is found.bare else f"{(one.median - found.bare.median) / one.rows * 1e6:.1f}"
        rows.append((one.name, f"{one.median:.2f}", one.spread, f"{one.median / one.rows * 1e6:.1f}", on_top, *one.cpu))
    headers = ("step", "seconds", "from..to", "us a record", "us on top", "client CPU s", "server CPU s")
    print(f"\nJSON API: {found.bare.rows:,} records in pages of 1,000\n\n{table(headers, rows)}\n")


async def run(options: ConnectionOptions, rounds: int, documents: int | None) -> dict[str, Any]:
    """Measure and print; the figures."""
    facts, found = await measure(options, Reading("records", documents or 200, 1000, CONFIGURATION), rounds)
    show(found)
    return {"machine": facts, "api": found.as_data()}


def main() -> None:
    """Measure as the command line says."""
    arguments = parser_for(__doc__).parse_args()
    save(
        asyncio.run(on_a_server(lambda options: run(options, arguments.rounds, arguments.documents))),
        "api",
        arguments.json,
    )


if __name__ == "__main__":
    main()
