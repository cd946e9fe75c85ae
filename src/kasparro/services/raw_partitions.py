"""Monthly partitions of the raw tables, made ahead of time; a default partition is the net below them."""

from datetime import UTC, datetime

from kasparro.core.database import Connection

RAW_TABLES = ("raw_api_data", "raw_csv_data", "raw_rss_data")
_LOCK_KEY = 0x6B617370_70617274
"""Advisory lock of whoever makes partitions: 'kasppart'."""

_MISSING = (
    "select $1::text || '_' || m as name from unnest($2::text[]) m where to_regclass($1::text || '_' || m) is null"
)
_EXISTS = """
select exists(select from pg_class made join pg_class parent on parent.relnamespace = made.relnamespace
              where made.relname = $1::name and parent.oid = $2::text::regclass)
"""
"""Asks the table, not `to_regclass`: its cache may be older than the lock that the maker before us has released."""
_CREATE = """
select format(
    'create table %I partition of %I for values from (%L) to (%L)
     with (autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 1)',
    $1::text, $2::text, $3::timestamptz, $4::timestamptz)
"""
"""Rows that never change are frozen when autovacuum first sees them, not all at once years later; and no plan needs
their statistics. Partitions inherit no parameters. (Migration 0004 gave the same to the older ones.)
"""
_CAUGHT = """
select format('select exists(select from %I where fetched_at >= %L and fetched_at < %L)',
              $1::text || '_default', $2::timestamptz, $3::timestamptz)
"""


def month_of(moment: datetime) -> datetime:
    """The first instant of the moment's month, in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    """The first instant of the next month."""
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


async def ensure(connection: Connection, at: datetime) -> list[str]:
    """Make the partitions of the month of `at` and of the next; returns the names of those made.

    Needs a transaction of the caller's that does nothing else: it briefly locks the default partitions.
    A month whose rows already went to the default partition stays there: correct, though not droppable by month.
    """
    this_month = month_of(at)
    months = {f"y{month:%Y}m{month:%m}": month for month in (this_month, month_after(this_month))}
    made: list[str] = []
    for table in RAW_TABLES:
        for row in await connection.fetch(_MISSING, table, list(months)):
            name = str(row["name"])
            if await _make(connection, table, name, months[name.rpartition("_")[2]]):
                made.append(name)
    return made


async def _make(connection: Connection, table: str, name: str, start: datetime) -> bool:
    """Inside the caller's transaction, since the lock that serializes the makers lasts that long."""
    end = month_after(start)
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)
    if await connection.fetchval(_EXISTS, name, table):
        return False
    if await connection.fetchval(await connection.fetchval(_CAUGHT, table, start, end)):
        return False
    await connection.execute(await connection.fetchval(_CREATE, name, table, start, end))
    return True
