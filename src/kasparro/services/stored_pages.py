"""Records as they stand, page by page, each with the raw row that it points at: what a replay judges again.

A page is in the order of unified ids, and holds the same records however often it is read: those that are live, and
those that a replay has left out. Applying a replay takes no record out of that set.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.schemas.batches import StandingRecords
from kasparro.services.loading import raw_table

_BY_INDEX: Final = "set enable_seqscan = off"
_IN_ORDER: Final = "set enable_sort = off"
"""By ids there is an index, and it is read once from end to end, whatever the planner believes of the source."""
_FEW: Final = 50_000
"""A source with no more records than this is looked up by itself: others in the table may have millions."""
_COUNT = """
select count(*) from (select from unified_data where source_id = $1::integer limit $2::integer) own
"""
_RECORDS = """
select id, record_key, raw_id, content_hash, record_hash, mapping_version, deleted_at is not null as left_out
from unified_data
where source_id = $1::integer and id > $2::bigint and (deleted_at is null or deletion = 'replay')
order by id limit $3::integer
"""
_RAW_ID: Final = 2
"""Its place among the columns, which are those of StandingRecords."""
_RECORDS_OF_FEW = """
with own as materialized (
    select id, record_key, raw_id, content_hash, record_hash, mapping_version, deleted_at is not null as left_out
    from unified_data
    where source_id = $1::integer and id > $2::bigint and (deleted_at is null or deletion = 'replay'))
select * from own order by id limit $3::integer
"""
_PAYLOADS: Final = """
select id, locator, case when ($4::timestamptz is null or fetched_at >= $4) and ($5::timestamptz is null
                               or fetched_at < $5) and ($6::bigint is null or run_id = $6) then payload::text end
       as payload
from {table} where source_id = $1::integer and
"""
_BETWEEN = " id between $2::bigint and $3::bigint"
_THESE = " id = any($2::bigint[]) and $3::bigint is null"
_FIELDS: Final = """
select id, title, body, url, author, category, tags, value, unit, occurred_at, entity_key, attributes
from unified_data where id = any($1::bigint[])
"""
_FIRST_PIECE: Final = 500
_PIECE_CHARACTERS: Final = 2 * 1024 * 1024
_SMALLEST_PIECE: Final = 20
_LARGEST_PIECE: Final = 4_000
_DENSE: Final = 2
"""Ids among which every second one is asked for are read as a range."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The records of a source; with `since`, `until` or `run_id` those whose raw row was fetched then, or by it."""

    source_id: int
    source_type: str
    since: datetime | None = None
    until: datetime | None = None
    run_id: int | None = None


@dataclass(slots=True)
class StoredPage:
    """Records in the order of their ids, with payload and locator of each, and `after`, the last id that was looked at.

    `missing` counts records whose raw row is there no more.
    """

    after: int = 0
    missing: int = 0
    size_bytes: int = 0
    records: StandingRecords = field(default_factory=StandingRecords)
    payloads: list[str] = field(default_factory=list[str])
    """JSON, as jsonb shows it."""
    locators: list[str] = field(default_factory=list[str])

    def __len__(self) -> int:
        return len(self.payloads)

    def take(self, records: Sequence[Any], raw: Mapping[int, Any]) -> None:
        """Add those records whose raw rows are there and wanted."""
        self.after = records[-1][0]
        found = [raw.get(record[_RAW_ID]) for record in records]
        self.missing += found.count(None)
        payloads: list[str | None] = [each and each["payload"] for each in found]
        if None in payloads:
            wanted = [payload is not None for payload in payloads]
            records, found = list(compress(records, wanted)), list(compress(found, wanted))
        for column, values in zip(self.records.columns(), zip(*records, strict=True), strict=False):
            column.extend(values)
        texts = [payload for payload in payloads if payload is not None]
        self.payloads += texts
        self.locators += [each["locator"] for each in found if each]
        self.size_bytes += sum(map(len, texts))


async def read_pages(
    connection: Connection, wanted: Wanted, *, after: int, records: int, size_bytes: int
) -> AsyncGenerator[StoredPage]:
    """Pages of records with greater ids than `after`; each closes at so many records or characters of JSON.

    Keeps the planner from reading whole tables, and from sorting, for the rest of the connection's life.
    """
    few = await connection.fetchval(_COUNT, wanted.source_id, _FEW + 1) <= _FEW
    await connection.execute(_BY_INDEX if few else f"{_BY_INDEX}; {_IN_ORDER}")
    statement = _RECORDS_OF_FEW if few else _RECORDS
    ahead: Sequence[Any] = ()
    piece, page = _FIRST_PIECE, StoredPage(after)
    while ahead or (ahead := await connection.fetch(statement, wanted.source_id, page.after, records)):
        count = max(1, min(piece, records - len(page)))
        some, ahead = ahead[:count], ahead[count:]
        before = page.size_bytes
        page.take(some, await _raw_rows(connection, wanted, [record[_RAW_ID] for record in some]))
        piece = _next_piece((page.size_bytes - before) // len(some))
        if len(page) >= records or page.size_bytes >= size_bytes:
            yield page
            page = StoredPage(page.after)
    yield page


async def fields_of(connection: Connection, ids: Sequence[int]) -> dict[int, Any]:
    """The fields of these records, by id."""
    return {row["id"]: row for row in await connection.fetch(_FIELDS, ids)}


def _next_piece(characters: int) -> int:
    """How many records to ask for at once where each has so many: memory holds a page, and not a piece of giants."""
    return max(_SMALLEST_PIECE, min(_LARGEST_PIECE, _PIECE_CHARACTERS // max(1, characters)))


async def _raw_rows(connection: Connection, wanted: Wanted, raw_ids: list[int]) -> dict[int, Any]:
    """The raw rows that are there, by id, and maybe others."""
    table = _PAYLOADS.replace("{table}", raw_table(wanted.source_type))
    chosen = (wanted.since, wanted.until, wanted.run_id)
    first, last = min(raw_ids), max(raw_ids)
    if last - first < _DENSE * len(raw_ids):
        rows = await connection.fetch(table + _BETWEEN, wanted.source_id, first, last, *chosen)
    else:
        rows = await connection.fetch(table + _THESE, wanted.source_id, raw_ids, None, *chosen)
    found = {row["id"]: row for row in rows}
    if lost := [raw_id for raw_id in raw_ids if raw_id not in found]:
        kept = _PAYLOADS.replace("{table}", "kept_payloads") + _THESE
        found |= {row["id"]: row for row in await connection.fetch(kept, wanted.source_id, lost, None, *chosen)}
    return found
