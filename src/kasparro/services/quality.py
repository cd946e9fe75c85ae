"""Results of quality checks: what the checks of a source said at the end of each run that judged."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from kasparro.core.canonical import DIGEST_MODULUS
from kasparro.core.database import Connection
from kasparro.schemas.quality import Example, QualityResult
from kasparro.services.loading import affected

_SAVE = """
insert into quality_results
    (run_id, source_id,
     position, name, level, passed, checked, failed, seen, message, examples, definition, fingerprint)
select $1::bigint, $2::integer, result.*
from jsonb_to_recordset($3::jsonb) as result(
    position bigint, name text, level text, passed boolean, checked bigint, failed bigint, seen text, message text,
    examples jsonb, definition jsonb, fingerprint text)
"""
_RESULTS = """
select position, name, level, passed, checked, failed, seen, message, examples, definition, fingerprint
from quality_results
"""
_OF_RUN = f"{_RESULTS} where run_id = $1::bigint order by position"
_NEWEST = """
    select r.id, r.digest, r.code_version, r.finished_at
    from (select distinct run_id from quality_results where source_id = s.id order by run_id desc limit 5) judged
    join etl_runs r on r.id = judged.run_id
    where r.finished_at is not null order by r.finished_at desc, r.id desc limit 1
"""
"""A queued run may end after one with a higher id: the newest is the one that ended last."""
_LAST = f"select last.* from sources s cross join lateral ({_NEWEST}) last where s.id = $1::integer"  # noqa: S608
_NOW = """
select mod(s.digest + coalesce(own.delta, 0), $3::numeric) as digest, coalesce(own.written, false) as written
from sources s cross join (
    select sum(digest_delta) as delta, bool_or(inserted > 0 or updated > 0 or deleted > 0) as written
    from etl_run_batches where run_id = $2::bigint) own
where s.id = $1::integer
"""
_FAILING = f"""
select s.name as source, last.id as run_id, last.finished_at, q.level, q.name, q.message
from sources s cross join lateral ({_NEWEST}) last join quality_results q on q.run_id = last.id and not q.passed
order by s.name, q.position
"""  # noqa: S608
_OLD = """
from quality_results where source_id = $1::integer and created_at < $2::timestamptz and run_id < (
    select min(run_id) from (
        select distinct run_id from quality_results where source_id = $1::integer order by run_id desc limit 5) newest)
"""
_COUNT_OLD = f"select count(*) {_OLD}"
_FORGET = f"delete from quality_results where run_id in (select run_id {_OLD} limit 1000)"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last verdict on a source: of which run, with which digest of its records and by which version of the code."""

    run_id: int
    digest: int
    code_version: str
    results: list[QualityResult]


@dataclass(frozen=True, slots=True)
class RecordsNow:
    """The digest of a source's records as a run leaves them, and whether that run wrote any."""

    digest: int
    written: bool


@dataclass(frozen=True, slots=True)
class Failing:
    """A check that failed in the last run of a source that judged."""

    source: str
    run_id: int
    judged_at: datetime
    level: str
    name: str
    message: str


async def save(connection: Connection, run_id: int, source_id: int, results: Sequence[QualityResult]) -> None:
    """Store a run's results; in its final transaction."""
    await connection.execute(_SAVE, run_id, source_id, json.dumps([asdict(result) for result in results]))


async def of_run(connection: Connection, run_id: int) -> list[QualityResult]:
    """The results of a run, in the order of the configuration; none where it did not judge."""
    return [_result(row) for row in await connection.fetch(_OF_RUN, run_id)]


async def last(connection: Connection, source_id: int) -> Verdict | None:
    """The last verdict on a source; None where there was none yet."""
    row = await connection.fetchrow(_LAST, source_id)
    if row is None:
        return None
    return Verdict(row["id"], int(row["digest"]), row["code_version"], await of_run(connection, row["id"]))


async def records_now(connection: Connection, source_id: int, run_id: int) -> RecordsNow:
    """In the final transaction of a run: no other run has batches that are not in the source's digest."""
    row = await connection.fetchrow(_NOW, source_id, run_id, Decimal(DIGEST_MODULUS))
    assert row is not None
    return RecordsNow(int(row["digest"]), row["written"])


async def failing(connection: Connection) -> list[Failing]:
    """The checks that failed in the last verdict on each source, by source: what stands until a run clears it."""
    return [
        Failing(row["source"], row["run_id"], row["finished_at"], row["level"], row["name"], row["message"])
        for row in await connection.fetch(_FAILING)
    ]


async def old(connection: Connection, source_id: int, before: datetime) -> int:
    """How many results were stored before this moment, those of the newest runs that judged left out."""
    return int(await connection.fetchval(_COUNT_OLD, source_id, before))


async def forget(connection: Connection, source_id: int, before: datetime) -> int:
    """Drop the oldest such results, a thousand or a few more; how many that were."""
    return affected(await connection.execute(_FORGET, source_id, before))


def _result(row: Any) -> QualityResult:
    columns: dict[str, Any] = dict(row)
    examples: list[dict[str, Any]] = json.loads(columns.pop("examples"))
    definition: dict[str, Any] = json.loads(columns.pop("definition"))
    return QualityResult(**columns, examples=[Example(**each) for each in examples], definition=definition)
