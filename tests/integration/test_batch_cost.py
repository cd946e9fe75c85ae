"""What a batch costs the database depends on the batch, whatever else is there and whatever the statistics know."""

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from tests.scripted import ScriptedSource, job_of, row

ROWS = 2_000
BATCH = 500
INDEX = "unified_data_source_id_record_key_key"


async def index_rows_read(connection: Connection) -> int:
    """Entries of the key's index that were read so far, as the server has counted them."""
    await connection.execute("select pg_stat_clear_snapshot()")
    return await connection.fetchval("select idx_tup_read from pg_stat_user_indexes where indexrelname = $1", INDEX)


async def load(options: ConnectionOptions, name: str, rows: int, *, title: str = "a") -> None:
    records = [row(f"k{n}", title, bad=n % 50 == 7, skip=n % 50 == 9) for n in range(rows)]
    source = ScriptedSource({"p": records}, name=name, batch_size=BATCH)
    outcome = await run_source(job_of(source), Request(), Conditions(options))
    assert outcome.error is None


async def test_second_source_costs_its_own_rows_when_statistics_know_only_the_first(
    database: ConnectionOptions, connection: Connection
) -> None:
    await load(database, "first", ROWS)
    await load(database, "second", BATCH)
    await connection.execute("delete from unified_data where source_id = 2")
    await connection.execute("analyze unified_data")
    await load(database, "second", ROWS)
    before = await index_rows_read(connection)

    await load(database, "second", ROWS, title="b")

    assert await index_rows_read(connection) - before < 1.5 * ROWS


async def test_open_rejects_do_not_make_batches_dearer(database: ConnectionOptions, connection: Connection) -> None:
    await load(database, "first", BATCH)
    await connection.execute(
        "insert into rejected_records (source_id, run_id, code, message, record_key, content_hash, raw_id, locator, "
        "first_seen_at, last_seen_at) select 1, 1, 'old', 'old', 'gone' || n, int8send(n), 1, 'p:1', now(), now() "
        "from generate_series(1, 20000) n"
    )
    before = await open_rejects_read(connection)
    await load(database, "first", BATCH, title="b")
    assert await open_rejects_read(connection) - before < 5 * BATCH


async def open_rejects_read(connection: Connection) -> int:
    """Rows of rejected_records that were fetched so far, by any way."""
    await connection.execute("select pg_stat_clear_snapshot()")
    return await connection.fetchval(
        "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'rejected_records'"
    )
