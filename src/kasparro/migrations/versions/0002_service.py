"""What the service needs: keys that sign cursors, who polls the queue, and runs that are asked for once.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("etl_runs", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.create_index(
        "etl_runs_idempotency_key_idx",
        "etl_runs",
        ["source_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.create_index(
        "etl_runs_failures_idx",
        "etl_runs",
        ["source_id", "id"],
        postgresql_where=sa.text("state in ('failed', 'systemic')"),
    )


def downgrade() -> None:
    op.drop_index(
        "etl_runs_failures_idx", table_name="etl_runs", postgresql_where=sa.text("state in ('failed', 'systemic')")
    )
    op.drop_index(
        "etl_runs_idempotency_key_idx",
        table_name="etl_runs",
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.drop_column("etl_runs", "idempotency_key")
    op.drop_table("workers")
    op.drop_table("signing_keys")
