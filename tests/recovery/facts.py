"""What must be the same however often a pass was interrupted: compared between two sources over the same input."""

from dataclasses import dataclass
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.services import digest


@dataclass(frozen=True)
class Facts:
    """Everything about a source that no crash may change; no ids, no clock."""

    digest: str
    recomputed: str
    inserted_and_updated: int
    fetched: int
    duplicate: int
    distinct_rejects: int
    reject_times: int
    raw_rows: int
    unified: list[tuple[Any, ...]]
    chains: list[tuple[Any, ...]]


async def facts_of(connection: Connection, source: str) -> Facts:
    """The facts of a source, summed over all its runs."""
    found = await connection.fetchrow("select id, type from sources where name = $1", source)
    assert found is not None
    source_id, raw_table = found["id"], f"raw_{found['type']}_data"
    sums = await connection.fetchrow(
        "select sum(inserted + updated)::int as changed, sum(fetched)::int as fetched, "
        "sum(duplicate)::int as duplicate, sum(raw_written)::int as raw from etl_runs where source_id = $1",
        source_id,
    )
    rejects = await connection.fetchrow(
        "select count(*)::int as distinct_rejects, coalesce(sum(times), 0)::int as times "
        "from rejected_records where source_id = $1",
        source_id,
    )
    unified = await connection.fetch(
        "select u.record_key, title, trim_scale(value)::text, category, r.payload::text from unified_data u "
        f"join {raw_table} r on r.id = u.raw_id where u.source_id = $1 order by u.record_key",
        source_id,
    )
    chains = await connection.fetch(
        f"select r.record_key, r.payload::text, p.payload::text from {raw_table} r "
        f"left join {raw_table} p on p.id = r.prev_raw_id where r.source_id = $1 order by 1, 2, 3",
        source_id,
    )
    assert sums is not None
    assert rejects is not None
    assert len(chains) == sums["raw"]
    async with connection.transaction():
        recomputed = digest.as_text(await digest.recompute(connection, source_id))
    return Facts(
        digest=digest.as_text(await digest.now(connection, source_id)),
        recomputed=recomputed,
        inserted_and_updated=sums["changed"],
        fetched=sums["fetched"],
        duplicate=sums["duplicate"],
        distinct_rejects=rejects["distinct_rejects"],
        reject_times=rejects["times"],
        raw_rows=len(chains),
        unified=[tuple(item) for item in unified],
        chains=[tuple(item) for item in chains],
    )


def url_of(options: ConnectionOptions) -> str:
    """The options as a URL for a process of its own."""
    password = options.password.get_secret_value() if options.password else ""
    return f"postgresql://{options.user}:{password}@/{options.database}?host={options.hosts[0]}&port={options.ports[0]}"
