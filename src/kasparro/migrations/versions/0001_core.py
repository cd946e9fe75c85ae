"""The core tables: sources, raw payloads, unified records, rejects, checkpoints, runs, keys, counters.

Revision: 0001, the first.
"""

# pyright: reportUnknownArgumentType=false

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


RAW_TABLES = ("raw_api_data", "raw_csv_data", "raw_rss_data")
SEQUENCES = ("raw_id_seq", "pass_id_seq")


def upgrade() -> None:
    for sequence in SEQUENCES:
        op.execute(f"create sequence {sequence} as bigint")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "mapping_versions",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash", name="mapping_versions_hash_key"),
    )
    for table in RAW_TABLES:
        op.create_table(
            table,
            sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('raw_id_seq')"), nullable=False),
            sa.Column("source_id", sa.Integer(), nullable=False),
            sa.Column("run_id", sa.BigInteger(), nullable=False),
            sa.Column("record_key", sa.Text(), nullable=True),
            sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
            sa.Column("content_hash", sa.LargeBinary(), nullable=False),
            sa.Column("locator", sa.Text(), nullable=False),
            sa.Column("prev_raw_id", sa.BigInteger(), nullable=True),
            sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
            sa.PrimaryKeyConstraint("id", "fetched_at", name=f"{table}_pkey"),
            postgresql_partition_by="RANGE (fetched_at)",
        )
        op.execute(f"create table {table}_default partition of {table} default")
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("identity", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("digest", sa.Numeric(precision=39, scale=0), server_default=sa.text("0"), nullable=False),
        sa.Column("circuit_state", sa.Text(), server_default=sa.text("'closed'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("type in ('api', 'csv', 'rss')", name="sources_type_check"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", name="sources_name_key"),
    )
    op.create_table(
        "unified_data",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("tags", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entity_key", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("record_hash", sa.LargeBinary(), nullable=False),
        sa.Column("raw_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("pass_id", sa.BigInteger(), nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "record_key", name="unified_data_source_id_record_key_key"),
    )
    op.create_index(
        "unified_data_entity_key_idx",
        "unified_data",
        ["entity_key"],
        unique=False,
        postgresql_where=sa.text("entity_key is not null"),
    )
    op.create_index("unified_data_occurred_at_id_idx", "unified_data", ["occurred_at", "id"], unique=False)
    op.create_table(
        "etl_checkpoints",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("pass_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("coverage", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("coverage in ('full', 'window', 'none')", name="etl_checkpoints_coverage_check"),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("source_id", "partition", "lane", name="etl_checkpoints_pkey"),
    )
    op.create_table(
        "etl_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pass_id", sa.BigInteger(), nullable=True),
        sa.Column("resumes_run_id", sa.BigInteger(), nullable=True),
        sa.Column("plan", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("config_hash", sa.Text(), nullable=True),
        sa.Column("mapping_version", sa.Integer(), nullable=True),
        sa.Column("code_version", sa.Text(), nullable=True),
        sa.Column("checkpoint_before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("checkpoint_after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("digest", sa.Numeric(precision=39, scale=0), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("batches", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fetched", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("filtered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("raw_written", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'succeeded', 'partial', 'failed', 'systemic', 'interrupted', 'cancelled', 'paused')",
            name="etl_runs_state_check",
        ),
        sa.ForeignKeyConstraint(
            ["mapping_version"],
            ["mapping_versions.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resumes_run_id"],
            ["etl_runs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("etl_runs_source_id_id_idx", "etl_runs", ["source_id", "id"], unique=False)
    op.create_index(
        "etl_runs_unfinished_idx",
        "etl_runs",
        ["source_id"],
        unique=False,
        postgresql_where=sa.text("finished_at is null"),
    )
    op.create_table(
        "metric_counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("name", "source_id", "label", name="metric_counters_pkey"),
    )
    op.create_table(
        "rejected_records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("raw_id", sa.BigInteger(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('open', 'requeued', 'resolved', 'dropped')", name="rejected_records_state_check"),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "source_id",
            "content_hash",
            "code",
            "field",
            name="rejected_records_reason_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "rejected_records_open_key_idx",
        "rejected_records",
        ["source_id", "record_key"],
        unique=False,
        postgresql_where=sa.text("state = 'open' and record_key is not null"),
    )
    op.create_table(
        "source_shapes",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("shape", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("source_id", name="source_shapes_pkey"),
    )
    op.create_table(
        "etl_run_batches",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("fetched", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_payload", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("duplicate_payload", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected_new", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("filtered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("raw_written", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stage_seconds", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("digest_delta", sa.Numeric(precision=39, scale=0), server_default=sa.text("0"), nullable=False),
        sa.Column("seen", sa.LargeBinary(), nullable=True),
        sa.Column("committed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["etl_runs.id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "partition", "lane", "seq", name="etl_run_batches_pkey"),
    )
    op.create_table(
        "schema_drift_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("expected", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("seen", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("first_example", sa.Text(), nullable=True),
        sa.Column("last_example", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["etl_runs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("schema_drift_events_source_id_id_idx", "schema_drift_events", ["source_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("schema_drift_events_source_id_id_idx", table_name="schema_drift_events")
    op.drop_table("schema_drift_events")
    op.drop_table("etl_run_batches")
    op.drop_table("source_shapes")
    op.drop_index(
        "rejected_records_open_key_idx",
        table_name="rejected_records",
        postgresql_where=sa.text("state = 'open' and record_key is not null"),
    )
    op.drop_table("rejected_records")
    op.drop_table("metric_counters")
    op.drop_index("etl_runs_unfinished_idx", table_name="etl_runs", postgresql_where=sa.text("finished_at is null"))
    op.drop_index("etl_runs_source_id_id_idx", table_name="etl_runs")
    op.drop_table("etl_runs")
    op.drop_table("etl_checkpoints")
    op.drop_index("unified_data_occurred_at_id_idx", table_name="unified_data")
    op.drop_index(
        "unified_data_entity_key_idx", table_name="unified_data", postgresql_where=sa.text("entity_key is not null")
    )
    op.drop_table("unified_data")
    op.drop_table("sources")
    op.drop_table("mapping_versions")
    op.drop_table("api_keys")
    for table in RAW_TABLES:
        op.drop_table(table)
    for sequence in SEQUENCES:
        op.execute(f"drop sequence {sequence}")
