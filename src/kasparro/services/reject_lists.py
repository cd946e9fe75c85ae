"""Rejected records that somebody chose: shown one by one, shown in groups that fail for the same reason, or dropped.

A group's fingerprint stands for source, code, field and what the message says apart from the numbers and the quoted
values in it. It is the same in every database.
"""

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from kasparro.core.database import Connection
from kasparro.services.loading import is_id

FINGERPRINT_PATTERN: Final = "f[0-9a-f]{10}"
"""What a fingerprint looks like; no number does."""
FROM: Final = "from rejected_records r join sources s on s.id = r.source_id"
_SAYS: Final = r"""
regexp_replace(regexp_replace(replace(r.message, r.locator || ': ', ''), '".*"', '"*"'), '\d+([.,:]\d+)*', '#', 'g')
"""


def _fingerprint(
    source: LiteralString, code: LiteralString, field: LiteralString, says: LiteralString
) -> LiteralString:
    """An SQL expression over four others."""
    return f"""
'f' || substr(encode(sha256(convert_to(
    jsonb_build_array({source}, {code}, {field}, {says})::text, 'UTF8')), 'hex'), 1, 10)
"""


FINGERPRINT: Final = _fingerprint("s.name", "r.code", "r.field", _SAYS)
CHOSEN: Final = f"""
($1::text is null or s.name = $1) and ($2::text is null or r.code = $2) and ($3::text is null or r.field = $3)
and ($4::bigint is null or r.run_id = $4) and ($5::text is null or r.state = $5)
and ($6::bigint[] is null or r.id = any($6) or {FINGERPRINT} = any($7::text[]))
"""
"""A condition over `r` and `s`, of the parameters that `RejectFilter.parameters` gives."""
_COLUMNS: Final = f"""
r.id, s.name as source, r.run_id, r.state, r.code, r.field, r.message, r.record_key, r.locator, r.times,
r.first_seen_at, r.last_seen_at, r.resolved_at, r.resolution, r.raw_id, {FINGERPRINT} as fingerprint
"""
_LATEST: Final = f"""
select {_COLUMNS} {FROM} where {CHOSEN}
order by r.last_seen_at desc, r.id desc limit $8::integer
"""
_PAGE: Final = f"""
select {_COLUMNS} {FROM} where {CHOSEN} and ($8::bigint is null or r.id < $8)
order by r.id desc limit $9::integer
"""
_GROUPS: Final = f"""
with grouped as materialized (
    select s.name as source, r.code, r.field, {_SAYS} as says, count(*) as payloads, sum(r.times)::bigint as times,
           min(r.first_seen_at) as first_seen_at, max(r.last_seen_at) as last_seen_at, min(r.id) as first_id,
           max(r.id) as last_id
    {FROM} where {CHOSEN}
    group by s.name, r.code, r.field, {_SAYS}
), named as (
    select {_fingerprint("source", "code", "field", "says")} as fingerprint, grouped.* from grouped
)
select * from named where $8::bigint is null or (payloads, fingerprint) < ($8, $9::text)
order by payloads desc, fingerprint desc limit $10::integer
"""  # noqa: S608
_THESE: Final = "select id, locator, message, record_key, raw_id from rejected_records where id = any($1::bigint[])"
_DROP: Final = f"""
with dropped as (
    update rejected_records set state = 'dropped', resolved_at = $8::timestamptz, resolution = $9::text
    where id in (select r.id {FROM} where {CHOSEN}) and state = 'open' returning source_id)
select s.name, count(*) as payloads from dropped join sources s on s.id = dropped.source_id group by s.name
"""  # noqa: S608
_WAITING: Final = f"""
select s.name, count(distinct r.raw_id) as payloads {FROM} where {CHOSEN} group by s.id, s.name order by s.id
"""


@dataclass(frozen=True, slots=True)
class RejectFilter:
    """Which rejects: all conditions must hold; None, or no ids and no groups: whatever it is.

    `ids` and `groups` (fingerprints) are one condition: any of them.
    """

    source: str | None = None
    code: str | None = None
    field: str | None = None
    run_id: int | None = None
    state: str | None = "open"
    ids: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Those of `CHOSEN`, the first seven of a statement."""
        *first, ids, groups = astuple(self)
        chosen = [number for number in ids if is_id(number)] if ids or groups else None
        return (*first, chosen, list(groups))

    def as_json(self) -> dict[str, Any]:
        """What differs from a filter that lets every open reject through."""
        untouched = asdict(RejectFilter())
        return {name: value for name, value in asdict(self).items() if value != untouched[name]}

    @classmethod
    def from_json(cls, chosen: Mapping[str, Any]) -> "RejectFilter":
        """The filter that `as_json` told of."""
        values: dict[str, Any] = dict(chosen)
        values |= {name: tuple(values.get(name, ())) for name in ("ids", "groups")}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Example:
    """One reject of a group."""

    id: int
    locator: str
    message: str
    record_key: str | None
    raw_id: int


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Rejects with one fingerprint. `payloads` are distinct; `times` counts how often they were seen."""

    fingerprint: str
    source: str
    code: str
    field: str | None
    says: str
    """The message, with `#` for numbers and `"*"` for what was quoted."""
    payloads: int
    times: int
    first_seen_at: datetime
    last_seen_at: datetime
    examples: tuple[Example, ...]
    """The first and the last one."""


async def latest(connection: Connection, chosen: RejectFilter, *, limit: int) -> list[dict[str, Any]]:
    """Rejects, last seen first; `run_id` is the run that saw it last, or that judged it again since."""
    return await _rows(connection, _LATEST, chosen, limit)


async def page(connection: Connection, chosen: RejectFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The same by number, the newest first, below the number `before` where that is given."""
    return await _rows(connection, _PAGE, chosen, before, limit)


async def groups(
    connection: Connection, chosen: RejectFilter, *, after: tuple[int, str] | None = None, limit: int
) -> list[RejectGroup]:
    """Those with the most payloads first; `after`: payloads and fingerprint of the last group of the page before."""
    rows = await _rows(connection, _GROUPS, chosen, *(after or (None, None)), limit)
    ids = [row[name] for row in rows for name in ("first_id", "last_id")]
    found = {row["id"]: Example(**dict(row)) for row in await connection.fetch(_THESE, ids)}
    return [_group(row, found) for row in rows]


async def drop(connection: Connection, chosen: RejectFilter, *, why: str, at: datetime) -> dict[str, int]:
    """Give the chosen open rejects up: how many, by source. Nothing is deleted."""
    rows = await _rows(connection, _DROP, chosen, at, why)
    return {row["name"]: row["payloads"] for row in rows}


async def waiting(connection: Connection, chosen: RejectFilter) -> dict[str, int]:
    """How many payloads the chosen rejects are about, by source, in the order of the sources' ids."""
    return {row["name"]: row["payloads"] for row in await _rows(connection, _WAITING, chosen)}


async def _rows(
    connection: Connection, statement: LiteralString, chosen: RejectFilter, *more: object
) -> list[dict[str, Any]]:
    if chosen.run_id is not None and not is_id(chosen.run_id):
        return []
    return [dict(row) for row in await connection.fetch(statement, *chosen.parameters, *more)]


def _group(row: dict[str, Any], found: dict[int, Example]) -> RejectGroup:
    ids = sorted({row.pop("first_id"), row.pop("last_id")})
    return RejectGroup(**row, examples=tuple(found[number] for number in ids if number in found))
