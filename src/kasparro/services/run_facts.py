"""What was found about a run beside its counters: open drift, checks that failed, anomalies. Counts alone."""

from typing import Final

from kasparro.core.database import Connection

_COUNTS: Final = """
select (select count(*) from schema_drift_events d
        where d.source_id = r.source_id and d.state = 'open'
          and coalesce(d.last_run_id, d.run_id) = r.id) as drift_open,
       (select count(*) from quality_results q where q.run_id = r.id and not q.passed) as checks_failed,
       (select count(*) from run_anomalies a where a.run_id = r.id) as anomalies
from etl_runs r where r.id = $1::bigint
"""


async def counts(connection: Connection, run_id: int) -> dict[str, int]:
    """`drift_open`, `checks_failed` and `anomalies` of a run that is closed."""
    row = await connection.fetchrow(_COUNTS, run_id)
    return {} if row is None else {name: int(value) for name, value in row.items()}
