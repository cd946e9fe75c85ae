"""Runs that requeue, replay or backfill: their own checkpoints, plans, progress; why a record is deleted; what retention kept.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

OPERATIONS = "operation in ('requeue', 'replay', 'backfill')"
PLAN_STATES = "state in ('planned', 'applying', 'applied')"
BACKFILL_STATES = "state in ('open', 'done', 'given_up')"


def upgrade() -> None:
    op.add_column("etl_checkpoints", sa.Column("scope", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.drop_constraint("etl_checkpoints_pkey", "etl_checkpoints")
    op.create_primary_key("etl_checkpoints_pkey", "etl_checkpoints", ["source_id", "scope", "partition", "lane"])
    op.add_column("etl_runs", sa.Column("operation", sa.Text(), nullable=True))
    op.create_check_constraint("etl_runs_operation_check", "etl_runs", OPERATIONS)
    op.add_column("etl_runs", sa.Column("gone", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("etl_runs", sa.Column("snapshot", sa.Text(), nullable=True))
    op.add_column("unified_data", sa.Column("deletion", sa.Text(), nullable=True))
    op.add_column(
        "rejected_records", sa.Column("last_ordinal", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.create_table(
        "replay_plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("selection", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.Numeric(precision=39, scale=0), nullable=True),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'planned'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(PLAN_STATES, name="replay_plans_state_check"),
        sa.ForeignKeyConstraint(["mapping_version"], ["mapping_versions.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "backfills",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("chunk_seconds", sa.BigInteger(), nullable=False),
        sa.Column("done_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(BACKFILL_STATES, name="backfills_state_check"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "kept_payloads",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("prev_raw_id", sa.BigInteger(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("kept_payloads")
    op.drop_table("backfills")
    op.drop_table("replay_plans")
    op.drop_column("rejected_records", "last_ordinal")
    op.drop_column("unified_data", "deletion")
    op.drop_column("etl_runs", "snapshot")
    op.drop_column("etl_runs", "gone")
    op.drop_column("etl_runs", "operation")
    op.execute("delete from etl_checkpoints where scope <> ''")
    op.drop_constraint("etl_checkpoints_pkey", "etl_checkpoints")
    op.create_primary_key("etl_checkpoints_pkey", "etl_checkpoints", ["source_id", "partition", "lane"])
    op.drop_column("etl_checkpoints", "scope")
