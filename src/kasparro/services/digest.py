"""The digest of a source: the sum modulo 2**128 of the record hashes, which cover the key, of its live records.

It holds no ids and no clock: equal digests prove that a resume, a replay or several writers gave the same records.
"""

from decimal import Decimal

from kasparro.core.canonical import DIGEST_MODULUS, digest_term
from kasparro.core.database import Connection

_NOW = """
select mod(s.digest + coalesce((
    select sum(b.digest_delta) from etl_run_batches b join etl_runs r on r.id = b.run_id
    where r.source_id = s.id and r.finished_at is null), 0), $2::numeric)
from sources s where s.id = $1::integer
"""
_RECORDS = "select record_hash from unified_data where source_id = $1::integer and deleted_at is null"
_FETCH_ROWS = 5000


async def now(connection: Connection, source_id: int) -> int:
    """The digest with the deltas of batches that no closed run has folded yet."""
    return int(await connection.fetchval(_NOW, source_id, Decimal(DIGEST_MODULUS)))


async def recompute(connection: Connection, source_id: int) -> int:
    """The digest computed anew from every live record, streamed; inside the caller's transaction."""
    total = 0
    async for row in connection.cursor(_RECORDS, source_id, prefetch=_FETCH_ROWS):
        total += digest_term(row["record_hash"])
    return total % DIGEST_MODULUS


def as_text(digest: int) -> str:
    """32 hexadecimal digits."""
    return f"{digest:032x}"
