"""The payloads of chosen open rejects, page by page, in the order in which they were last seen.

That order, and not the one of raw rows: a payload that comes again keeps its first raw row. A page is found by what
the one before it ended with, so that nothing is held open meanwhile, and a payload that was judged is not met again.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.services import raw_rows
from kasparro.services.reject_lists import CHOSEN, FINGERPRINT, FROM, RejectFilter

_LAST_ID: Final = "select coalesce(max(id), 0) from rejected_records where source_id = $1::integer"
_ORDINAL: Final = "(array_agg(r.last_ordinal order by r.last_seen_at desc, r.last_ordinal desc))[1]"
"""Of a payload's last sight; its reasons may have been seen at different times."""
_WAITING: Final = f"""
select r.raw_id, max(r.last_seen_at) as seen_at, {_ORDINAL} as ordinal, array_agg(r.id) as ids
{FROM} left join etl_runs e on e.id = r.run_id left join mapping_versions m on m.id = e.mapping_version
where r.source_id = $8::integer and r.state = 'open' and r.id <= $9::bigint
group by r.raw_id
having bool_or({CHOSEN} and ($13::text is null or m.hash is distinct from $13))
       and ($10::timestamptz is null or (max(r.last_seen_at), {_ORDINAL}, r.raw_id) > ($10, $14::bigint, $11::bigint))
order by 2, 3, 1 limit $12::integer
"""  # noqa: S608
"""In one reading: a join of a payload's rejects with the chosen ones may be planned as a loop over both."""
_DETAILS: Final = f"""
select r.raw_id, r.locator, r.content_hash, case when $2::boolean then {FINGERPRINT} end as fingerprint
{FROM} where r.id = any($1::bigint[]) and r.state = 'open' order by r.last_seen_at, r.last_ordinal, r.id
"""
_READERS: Final = """
select d.content_hash, d.code, d.message, d.field
from unnest($2::bytea[]) as given(content_hash) cross join lateral (
    select content_hash, code, message, field from rejected_records
    where source_id = $1::integer and content_hash = given.content_hash
      and (code = any($3::text[]) or (code = 'unstorable' and field is null)) order by id offset 0) d
"""
_PLAINLY: Final = "set jit = off"
"""The planner, without statistics, believes small questions to be so large that they are worth compiling."""
_AHEAD: Final = 50_000
"""Payloads that are put in order at once, without what they hold: each time all rejects of the source are looked at."""
_PIECE: Final = 200
"""Payloads asked for at once: memory holds a batch, and at most so many beyond its limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far reading has come: when and where in its batch the last payload was seen, and its raw row.

    `until`: the last reject's number.
    """

    until: int
    seen_at: datetime | None = None
    ordinal: int | None = None
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
    """Pages behind a place; each closes at so many records or characters of JSON. Settled rejects are left out.

    Turns the server's compiling of statements off for the connection.
    """
    await connection.execute(_PLAINLY)
    page = WaitingPage(place)
    while ahead := await _waiting(connection, wanted, page.place):
        while ahead:
            count = max(1, min(_PIECE, records - len(page.payloads)))
            await _take(connection, wanted, ahead[:count], page)
            ahead = ahead[count:]
            if len(page.payloads) >= records or page.size_bytes >= size_bytes:
                yield page
                page = WaitingPage(page.place)
    if page.payloads or page.missing:
        yield page


async def _waiting(connection: Connection, wanted: Wanted, place: Place) -> Sequence[Any]:
    return await connection.fetch(
        _WAITING, *wanted.chosen.parameters, wanted.source_id, place.until, place.seen_at, place.raw_id, _AHEAD,
        wanted.not_mapped_by, place.ordinal,
    )  # fmt: skip


async def _take(connection: Connection, wanted: Wanted, rows: Sequence[Any], page: WaitingPage) -> None:
    raw = await raw_rows.payloads(connection, wanted.source_type, [row["raw_id"] for row in rows])
    ids = [number for row in rows for number in row["ids"]]
    rejects: dict[int, list[Any]] = {}
    for reject in await connection.fetch(_DETAILS, ids, wanted.not_mapped_by is not None):
        rejects.setdefault(reject["raw_id"], []).append(reject)
    known = await _known(connection, wanted, {each["content_hash"] for found in rejects.values() for each in found})
    for row in rows:
        own, found = rejects.get(row["raw_id"]), raw.get(row["raw_id"])
        if own is None:
            continue  # settled or dropped just now
        if found is None:
            page.missing += 1
            continue
        defects = dict.fromkeys(each for reject in own for each in known.get(reject["content_hash"], ()))
        groups = dict.fromkeys(reject["fingerprint"] for reject in own if reject["fingerprint"] is not None)
        page.payloads.append(Waiting(found.id, found.payload, own[-1]["locator"], tuple(defects), tuple(groups)))
        page.size_bytes += len(found.payload)
    page.place = Place(page.place.until, rows[-1]["seen_at"], rows[-1]["ordinal"], rows[-1]["raw_id"])


async def _known(
    connection: Connection, wanted: Wanted, hashes: Collection[bytes]
) -> dict[bytes, list[tuple[str, str, str | None]]]:
    """By content hash: what the reader has told of the payload, in whatever state that reject is now."""
    known: dict[bytes, list[tuple[str, str, str | None]]] = {}
    for row in await connection.fetch(_READERS, wanted.source_id, list(hashes), wanted.reader_codes):
        known.setdefault(row["content_hash"], []).append((row["code"], row["message"], row["field"]))
    return known
