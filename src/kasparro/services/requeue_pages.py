"""The payloads of chosen open rejects, page by page, in the order in which they were last seen.

That order, and not the one of raw rows: a payload that comes again keeps its first raw row. A page is found by what
the one before it ended with, so that nothing is held open meanwhile, and a payload that was judged is not met again.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, LiteralString

from kasparro.core.database import Connection
from kasparro.services import raw_rows
from kasparro.services.reject_lists import CHOSEN, FINGERPRINT, FROM, RejectFilter

_LAST_ID: Final = "select coalesce(max(id), 0) from rejected_records where source_id = $1::integer"
_OTHER_MAPPING: Final = """
exists (select from etl_runs e left join mapping_versions m on m.id = e.mapping_version
        where e.id = r.run_id and m.hash is distinct from $13::text)
"""
_WAITING: Final = f"""
with chosen as (
    select distinct r.raw_id {FROM}
    where s.id = $8::integer and r.id <= $9::bigint and {CHOSEN} and ($13::text is null or {_OTHER_MAPPING})
)
select r.raw_id, max(r.last_seen_at) as seen_at,
       (array_agg(r.locator order by r.last_seen_at desc, r.id desc))[1] as locator,
       array_agg(distinct r.content_hash) as hashes,
       case when $13 is not null then array_agg(distinct {FINGERPRINT}) end as groups
{FROM}
where r.source_id = $8 and r.state = 'open' and r.id <= $9 and r.raw_id in (select raw_id from chosen)
group by r.raw_id
having $10::timestamptz is null or (max(r.last_seen_at), r.raw_id) > ($10, $11::bigint)
order by 2, 1 limit $12::integer
"""  # noqa: S608
_READERS: Final = """
select distinct on (given.place, d.code, d.field) given.place, d.code, d.message, d.field
from unnest($2::bytea[], $3::integer[]) as given(content_hash, place)
     join rejected_records d on d.source_id = $1::integer and d.content_hash = given.content_hash
where d.code = any($4::text[]) or (d.code = 'unstorable' and d.field is null)
order by given.place, d.code, d.field, d.id
"""
_PIECE: Final = 100
"""Payloads asked for at once: memory holds a batch, and at most so many beyond its limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far reading has come: when the last payload was seen, and its raw row. `until`: the last reject's number."""

    until: int
    seen_at: datetime | None = None
    raw_id: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payload that waits. `known` are defects that only its reader could tell: code, message, field."""

    raw_id: int
    payload: str
    """JSON, as jsonb shows it."""
    locator: str
    known: tuple[tuple[str, str, str | None], ...]
    groups: tuple[str, ...]
    """Fingerprints of its open rejects, where they are asked for."""


@dataclass(slots=True)
class WaitingPage:
    """Payloads, and where reading stands behind them. `missing` counts those that are kept no more."""

    place: Place
    payloads: list[Waiting] = field(default_factory=list[Waiting])
    size_bytes: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of which source; `reader_codes` are those of defects that are not in a payload.

    `not_mapped_by`: the hash of a mapping; those that it has rejected itself are left out, and groups are told.
    """

    source_id: int
    source_type: str
    chosen: RejectFilter
    reader_codes: Sequence[str]
    not_mapped_by: str | None = None


async def beginning(connection: Connection, source_id: int) -> Place:
    """Before the first of those that are there now: rejects that come later are not covered."""
    return Place(int(await connection.fetchval(_LAST_ID, source_id)))


async def read_pages(
    connection: Connection, wanted: Wanted, place: Place, *, records: int, size_bytes: int
) -> AsyncGenerator[WaitingPage]:
    """Pages behind a place; each closes at so many records or characters of JSON. Settled rejects are left out."""
    while rows := await _waiting(connection, wanted, place, records):
        page = WaitingPage(place)
        for begin in range(0, len(rows), _PIECE):
            await _take(connection, wanted, rows[begin : begin + _PIECE], page)
            if page.size_bytes >= size_bytes:
                break
        place = page.place
        yield page


async def _waiting(connection: Connection, wanted: Wanted, place: Place, records: int) -> list[Any]:
    statement: LiteralString = _WAITING
    return await connection.fetch(
        statement, *wanted.chosen.parameters, wanted.source_id, place.until, place.seen_at, place.raw_id, records,
        wanted.not_mapped_by,
    )  # fmt: skip


async def _take(connection: Connection, wanted: Wanted, rows: Sequence[Any], page: WaitingPage) -> None:
    found = await raw_rows.payloads(connection, wanted.source_type, [row["raw_id"] for row in rows])
    known = await _known(connection, wanted, rows)
    for number, row in enumerate(rows):
        raw = found.get(row["raw_id"])
        if raw is None:
            page.missing += 1
            continue
        groups = tuple(row["groups"] or ())
        page.payloads.append(Waiting(raw.id, raw.payload, row["locator"], tuple(known.get(number, ())), groups))
        page.size_bytes += len(raw.payload)
    last = rows[-1]
    page.place = Place(page.place.until, last["seen_at"], last["raw_id"])


async def _known(
    connection: Connection, wanted: Wanted, rows: Sequence[Any]
) -> dict[int, list[tuple[str, str, str | None]]]:
    """By position in `rows`: what the reader has told of the payload, in whatever state that reject is now."""
    pairs = [(content_hash, number) for number, row in enumerate(rows) for content_hash in row["hashes"]]
    hashes, numbers = zip(*pairs, strict=True)
    known: dict[int, list[tuple[str, str, str | None]]] = {}
    for row in await connection.fetch(_READERS, wanted.source_id, hashes, numbers, wanted.reader_codes):
        known.setdefault(row["place"], []).append((row["code"], row["message"], row["field"]))
    return known
