"""Drift that stays open until somebody decides, quality checks, anomalies, alerts; what runs read and how long they took;
open rejects counted as they change.

Revision: 0006, after 0005.
"""

# pyright: reportUnknownArgumentType=false

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

DRIFT_STATES = "state in ('open', 'accepted', 'rejected', 'gone')"
OPEN = sa.text("state = 'open'")
FIRING = sa.text("state = 'firing'")
DUE = sa.text("delivered_at is null and given_up_at is null")

COUNT_OPEN_REJECTS = """
create function count_open_rejects() returns trigger language plpgsql as $$
declare
    lane text := coalesce(substring(current_setting('application_name') from '^kasparro:[0-9]+:([0-9]+)$'), '');
begin
    if tg_op = 'INSERT' then
        insert into metric_counters as known (name, source_id, label, value)
        select 'rejected_open', source_id, code || '#' || lane, count(*)
        from after_rows where state = 'open' group by source_id, code order by source_id, code
        on conflict (name, source_id, label) do update set value = known.value + excluded.value;
    elsif tg_op = 'UPDATE' then
        insert into metric_counters as known (name, source_id, label, value)
        select 'rejected_open', source_id, code || '#' || lane, sum(change)
        from (select source_id, code, 1 as change from after_rows where state = 'open'
              union all
              select source_id, code, -1 from before_rows where state = 'open') changed
        group by source_id, code having sum(change) <> 0 order by source_id, code
        on conflict (name, source_id, label) do update set value = known.value + excluded.value;
    else
        insert into metric_counters as known (name, source_id, label, value)
        select 'rejected_open', source_id, code || '#' || lane, -count(*)
        from before_rows where state = 'open' group by source_id, code order by source_id, code
        on conflict (name, source_id, label) do update set value = known.value + excluded.value;
    end if;
    return null;
end $$
"""
TRANSITIONS = {
    "insert": "new table as after_rows",
    "update": "old table as before_rows new table as after_rows",
    "delete": "old table as before_rows",
}
COUNT_THOSE_THERE = """
insert into metric_counters (name, source_id, label, value)
select 'rejected_open', source_id, code || '#', count(*) from rejected_records where state = 'open'
group by source_id, code
"""
COMPLETE_SO_FAR = """
update sources set complete_at = (
    select started_at from etl_runs
    where source_id = sources.id and operation is null and state in ('succeeded', 'partial') order by id desc limit 1)
"""


def upgrade() -> None:
    op.add_column("etl_runs", sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("etl_runs", sa.Column("stage_seconds", _json(), nullable=True))
    op.add_column("etl_runs", sa.Column("coverage", _json(), nullable=True))
    op.add_column("etl_runs", sa.Column("last_raw_id", sa.BigInteger(), nullable=True))
    op.add_column("sources", sa.Column("complete_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sources", sa.Column("interval_seconds", sa.Double(), nullable=True))
    op.execute(COMPLETE_SO_FAR)
    _open_rejects()
    _drift()
    op.create_table(
        "quality_results",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("checked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seen", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("examples", _json(), nullable=True),
        sa.Column("definition", _json(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        _time("created_at"),
        sa.CheckConstraint("level in ('warn', 'fail')", name="quality_results_level_check"),
        sa.ForeignKeyConstraint(["run_id"], ["etl_runs.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"]),
        sa.PrimaryKeyConstraint("run_id", "position", name="quality_results_pkey"),
    )
    op.create_index("quality_results_source_id_idx", "quality_results", ["source_id", "run_id"])
    op.create_table(
        "run_anomalies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("expected_low", sa.Double(), nullable=False),
        sa.Column("expected_high", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["run_id"], ["etl_runs.id"]),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("run_anomalies_run_id_idx", "run_anomalies", ["run_id"])
    op.create_index("run_anomalies_source_id_idx", "run_anomalies", ["source_id", "id"])
    _alerts()


def downgrade() -> None:
    for table in ("alert_deliveries", "alerts", "run_anomalies", "quality_results"):
        op.drop_table(table)
    op.drop_index("schema_drift_events_open_key", "schema_drift_events")
    op.drop_constraint("schema_drift_events_state_check", "schema_drift_events")
    for column in (
        "parts",
        "mapped",
        "policy",
        "last_run_id",
        "last_seen_at",
        "closed_at",
        "closed_by",
        "reason",
        "profile",
    ):
        op.drop_column("schema_drift_events", column)
    op.drop_column("etl_runs", "last_raw_id")
    op.drop_column("etl_runs", "coverage")
    op.drop_column("etl_runs", "stage_seconds")
    op.drop_column("etl_runs", "size_bytes")
    for event in TRANSITIONS:
        op.execute(f"drop trigger count_open_rejects_{event} on rejected_records")
    op.execute("drop function count_open_rejects()")
    op.execute("delete from metric_counters where name = 'rejected_open'")
    op.drop_column("sources", "interval_seconds")
    op.drop_column("sources", "complete_at")


def _open_rejects() -> None:
    """A gauge of open rejects that no statement can forget. Each lane adds to a row of its own: none waits for another.

    https://www.postgresql.org/docs/current/sql-createtrigger.html (transition tables)
    """
    op.execute(COUNT_THOSE_THERE)
    op.execute(COUNT_OPEN_REJECTS)
    for event, tables in TRANSITIONS.items():
        op.execute(
            f"create trigger count_open_rejects_{event} after {event} on rejected_records referencing {tables} "
            "for each statement execute function count_open_rejects()"
        )


def _drift() -> None:
    for column in (
        sa.Column("parts", _json(), nullable=True),
        sa.Column("mapped", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("policy", sa.Text(), server_default=sa.text("'warn'"), nullable=False),
        sa.Column("last_run_id", sa.BigInteger(), nullable=True),
        _time("last_seen_at"),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("profile", _json(), nullable=True),
    ):
        op.add_column("schema_drift_events", column)
    op.create_check_constraint("schema_drift_events_state_check", "schema_drift_events", DRIFT_STATES)
    columns = ["source_id", "kind", "field"]
    op.create_index("schema_drift_events_open_key", "schema_drift_events", columns, unique=True, postgresql_where=OPEN)


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("detail", _json(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        _time("since"),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('firing', 'resolved')", name="alerts_state_check"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "alerts_firing_key", "alerts", ["source_id", "kind", "label"],
        unique=True, postgresql_nulls_not_distinct=True, postgresql_where=FIRING,
    )  # fmt: skip
    op.create_table(
        "alert_deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("hook", sa.Text(), nullable=False),
        sa.Column("transition", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        _time("next_at"),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        _time("created_at"),
        sa.CheckConstraint("transition in ('firing', 'resolved')", name="alert_deliveries_transition_check"),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alert_deliveries_due_idx", "alert_deliveries", ["next_at"], postgresql_where=DUE)


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(astext_type=sa.Text())


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
