"""Room in the pages of rows that are updated in place, and autovacuum as tables that only grow need it.

Revision: 0004, after 0003. What was measured: docs/decisions/0014-server-settings.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = {
    "rejected_records": {"fillfactor": "50"},
    "etl_checkpoints": {"fillfactor": "50"},
}
"""Not `unified_data`: room in its pages made first loads dearer, and second passes no cheaper."""
PARTITIONS = {"autovacuum_freeze_min_age": "0", "autovacuum_analyze_scale_factor": "1"}
"""A partitioned table has no parameters to hand down: `services/raw_partitions.py` gives them to each new partition."""
RAW_PARTITIONS = """
select inhrelid::regclass::text from pg_inherits
where inhparent in ('raw_api_data'::regclass, 'raw_csv_data'::regclass, 'raw_rss_data'::regclass) order by 1
"""


def upgrade() -> None:
    for table, parameters in _each().items():
        settings = ", ".join(f"{name} = {value}" for name, value in parameters.items())
        op.execute(f"alter table {table} set ({settings})")


def downgrade() -> None:
    for table, parameters in _each().items():
        op.execute(f"alter table {table} reset ({', '.join(parameters)})")


def _each() -> dict[str, dict[str, str]]:
    partitions = [str(row[0]) for row in op.get_bind().execute(sa.text(RAW_PARTITIONS))]
    return {**TABLES, **dict.fromkeys(partitions, PARTITIONS)}
