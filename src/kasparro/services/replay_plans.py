"""What replays would do, as it was planned, and whether that still holds when one is applied."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from kasparro.core.canonical import DIGEST_MODULUS
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.services import digest
from kasparro.services.loading import affected, is_id, require_rows

_INSERT = """
insert into replay_plans (source_id, mapping_version, selection, digest, findings)
values ($1::integer, $2::integer, $3::jsonb, $4::numeric, $5::jsonb) returning id
"""
_FIND = """
select p.*, s.name as source, s.type as source_type
from replay_plans p join sources s on s.id = p.source_id where p.id = $1::bigint
"""
_BEGIN = "update replay_plans set state = 'applying' where id = $1::bigint"
_FINISH = "update replay_plans set state = 'applied', applied_at = now() where id = $1::bigint"
_FORGET = """
delete from etl_checkpoints
where scope like 'replay:%' and source_id = (select source_id from replay_plans where id = $1::bigint)
"""
_MAPPING = "select id from mapping_versions where hash = $1::text"
_WRITES = """
select coalesce(sum(case when r.finished_at is null then open.writes
                         else r.inserted + r.updated + r.deleted + r.raw_written end), 0)::bigint
from etl_runs r left join lateral (
    select sum(b.inserted + b.updated + b.deleted + b.raw_written) as writes from etl_run_batches b
    where b.run_id = r.id) open on r.finished_at is null
where r.source_id = $1::integer and coalesce(r.plan ->> 'scope', '') <> $2::text
"""
_OWN_DELTA = """
select coalesce(sum(b.digest_delta), 0) from etl_run_batches b join etl_runs r on r.id = b.run_id
where r.source_id = $1::integer and r.plan ->> 'scope' = $2::text
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """The data of a source at one moment: its digest, and how much its runs, but for those of a scope, have written."""

    digest: int
    writes: int


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A plan's row. `findings` is what `ingestion/replay_findings.py` has found."""

    id: int
    source: str
    source_id: int
    source_type: str
    mapping_version: int
    config_hash: str
    since: datetime | None
    until: datetime | None
    run_id: int | None
    standing: Standing
    state: str
    findings: dict[str, Any]

    @property
    def scope(self) -> str:
        """Of the checkpoints of those runs that apply it."""
        return f"replay:{self.id}"


async def standing(connection: Connection, source_id: int, *, but_for: str = "") -> Standing:
    """How the source's data stand now; `but_for` is a scope whose own writes do not count."""
    scope = but_for or "none"
    written = int(await connection.fetchval(_WRITES, source_id, scope))
    own = int(await connection.fetchval(_OWN_DELTA, source_id, scope))
    return Standing((await digest.now(connection, source_id) - own) % DIGEST_MODULUS, written)


async def known_mapping(connection: Connection, hash_: str) -> int | None:
    """The version of a mapping, if it has one."""
    version: int | None = await connection.fetchval(_MAPPING, hash_)
    return version


async def insert(
    connection: Connection,
    source_id: int,
    mapping_version: int,
    *,
    selection: Mapping[str, Any],
    stood: Standing,
    findings: Mapping[str, Any],
) -> int:
    """Keep a plan; returns its number."""
    kept = json.dumps({**selection, "writes": stood.writes})
    number = await connection.fetchval(
        _INSERT, source_id, mapping_version, kept, Decimal(stood.digest), json.dumps(findings, ensure_ascii=False)
    )
    return int(number)


async def find(connection: Connection, number: int) -> ReplayPlan:
    """One plan. Raises NotFoundError."""
    row = await connection.fetchrow(_FIND, number) if is_id(number) else None
    if row is None:
        raise NotFoundError(f"plan {number}: there is none of this number", hint="make one: `kasparro replay plan`")
    selection = json.loads(row["selection"])
    return ReplayPlan(
        id=row["id"],
        source=row["source"],
        source_id=row["source_id"],
        source_type=row["source_type"],
        mapping_version=row["mapping_version"],
        config_hash=selection["config_hash"],
        since=_moment(selection["since"]),
        until=_moment(selection["until"]),
        run_id=selection["run_id"],
        standing=Standing(int(row["digest"]), int(selection["writes"])),
        state=row["state"],
        findings=json.loads(row["findings"]),
    )


async def begin(connection: Connection, number: int) -> None:
    """Mark a plan as being applied."""
    require_rows("update of replay_plans", affected(await connection.execute(_BEGIN, number)), 1)


async def finish(connection: Connection, number: int) -> None:
    """Mark a plan as applied, and forget how far it and others of its source had come; in the final transaction."""
    require_rows("update of replay_plans", affected(await connection.execute(_FINISH, number)), 1)
    await connection.execute(_FORGET, number)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
