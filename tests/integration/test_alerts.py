"""Alerts over a real database: what begins one, what ends it, and which messages are written with the change."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import KasparroError, SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.alerts import ALERT_KINDS, AlertRules, Route
from kasparro.schemas.configuration import RejectLimit
from kasparro.services import alert_outbox, alerts, freshness, metrics, sources
from kasparro.workers.alerting import Alerting, Watched
from kasparro.workers.messages import message_of, webhook_body
from kasparro.workers.scheduler import Scheduler
from tests.scripted import ScriptedSource, job_of, row

ALL = frozenset(ALERT_KINDS)
TOLD = AlertRules((Route("pager", ALL), Route("team", frozenset({"failing"}))), recovered_after_seconds=600.0)
LATER = datetime.now(UTC) + timedelta(hours=24)


class Moody(ScriptedSource):
    """Fails with what `mood` holds, if it holds anything."""

    def __init__(self, name: str = "moody") -> None:
        super().__init__({"p": [row("a"), row("b")]}, name=name, before=self._before)
        self.mood: KasparroError | None = None

    def _before(self, _partition: str, _position: int) -> None:
        if self.mood is not None:
            raise self.mood


async def run(options: ConnectionOptions, source: ScriptedSource, rules: AlertRules = TOLD, **changes: Any) -> str:
    outcome = await run_source(job_of(source, alerts=rules, **changes), Request(), Conditions(options))
    return outcome.state


async def fail(options: ConnectionOptions, source: Moody, rules: AlertRules = TOLD) -> None:
    source.mood = SourceError("no route to host")
    assert await run(options, source, rules) == "failed"
    source.mood = None


async def hourly(connection: Connection) -> None:
    """Let the source be one that a scheduler reads each hour."""
    await freshness.save_intervals(connection, {"moody": 3600.0})


async def firing(connection: Connection) -> list[tuple[str, str]]:
    return sorted((each["kind"], each["label"]) for each in await alerts.latest(connection, all_states=False))


async def messages(connection: Connection) -> list[tuple[str, str, str]]:
    rows = await connection.fetch(
        "select d.hook, a.kind, d.transition from alert_deliveries d join alerts a on a.id = d.alert_id order by d.id"
    )
    return [tuple(each) for each in rows]


async def look(options: ConnectionOptions, *names: str, now: datetime = LATER) -> None:
    alerting = Alerting(options, [Watched(name, TOLD) for name in names], [], now=lambda: now)
    await alerting.look()
    alerting.close()


async def test_failing_source_is_told_of_once_however_often_it_fails(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    await run(database, source)
    assert await messages(connection) == []
    await fail(database, source)
    await fail(database, source)
    assert [each for each in await messages(connection) if each[1] == "failing"] == [
        ("pager", "failing", "firing"),
        ("team", "failing", "firing"),
    ]
    (alert,) = [each for each in await alerts.latest(connection, all_states=False) if each["kind"] == "failing"]
    assert (alert["source"], alert["state"], alert["summary"], alert["run_id"], alert["waiting"]) == (
        "moody", "firing", "source: no route to host", 2, 2,
    )  # fmt: skip


async def test_recovery_is_told_after_it_has_lasted(database: ConnectionOptions, connection: Connection) -> None:
    source = Moody()
    await fail(database, source)
    await run(database, source)
    assert await firing(connection) == []
    rows = await connection.fetch(
        "select d.hook, d.transition, d.next_at - a.resolved_at as wait from alert_deliveries d "
        "join alerts a on a.id = d.alert_id where a.kind = 'failing' and d.transition = 'resolved' order by d.hook"
    )
    assert [tuple(each) for each in rows] == [
        ("pager", "resolved", timedelta(seconds=600)),
        ("team", "resolved", timedelta(seconds=600)),
    ]


async def test_source_that_comes_and_goes_makes_one_message(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    for _ in range(4):
        await fail(database, source)
        await run(database, source)
    assert await messages(connection) == [
        ("pager", "failing", "firing"),
        ("team", "failing", "firing"),
        ("pager", "failing", "resolved"),
        ("team", "failing", "resolved"),
    ]
    assert len(await alerts.latest(connection, all_states=True)) == 4, "each is remembered"


async def test_recovery_that_was_told_is_followed_by_a_new_alert(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    await fail(database, source)
    await run(database, source)
    await connection.execute("update alert_deliveries set attempts = 1, delivered_at = now() where hook = 'team'")
    await fail(database, source)
    assert [each for each in await messages(connection) if each[0] == "team"] == [
        ("team", "failing", "firing"),
        ("team", "failing", "resolved"),
        ("team", "failing", "firing"),
    ]
    assert [each for each in await messages(connection) if each[0] == "pager"] == [("pager", "failing", "firing")]


async def test_so_many_failures_in_a_row(database: ConnectionOptions, connection: Connection) -> None:
    source, rules = Moody(), AlertRules(TOLD.routes, failing_after=3)
    await fail(database, source, rules)
    await fail(database, source, rules)
    assert [kind for kind, _ in await firing(connection) if kind == "failing"] == []
    await fail(database, source, rules)
    assert [kind for kind, _ in await firing(connection) if kind == "failing"] == ["failing"]


async def test_systemic_run(database: ConnectionOptions, connection: Connection) -> None:
    bad = ScriptedSource({"p": [row("a", bad=True), row("b", bad=True), row("c", bad=True)]}, name="bad")
    assert await run(database, bad, limit=RejectLimit(share=0.5, min_records=2)) == "systemic"
    assert await firing(connection) == [("systemic", "")]
    bad.records["p"] = [row("a"), row("b"), row("c")]
    await run(database, bad, limit=RejectLimit(share=0.5, min_records=2))
    assert await firing(connection) == []


async def test_change_and_messages_are_rolled_back_together(
    database: ConnectionOptions, connection: Connection
) -> None:
    await run(database, Moody())
    known = await sources.get(connection, "moody")
    await connection.execute(
        "insert into etl_runs (source_id, trigger, state, started_at, finished_at, error_code, error_message) "
        "values ($1, 'cli', 'failed', now(), now(), 'source', 'down')", known.id,
    )  # fmt: skip

    transaction = connection.transaction()
    await transaction.start()
    await alerts.settle(connection, known.id, TOLD, datetime.now(UTC), stale_known=False)
    assert await firing(connection) == [("failing", "")]
    await transaction.rollback()
    assert (await firing(connection), await messages(connection)) == ([], [])


async def test_source_without_success_for_too_long_is_stale_until_it_has_one(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    await run(database, source)
    await hourly(connection)
    started = datetime.now(UTC)
    await look(database, "moody", now=started + timedelta(hours=2, minutes=59))
    assert await firing(connection) == [], "not longer than it may be"
    await look(database, "moody", now=started + timedelta(hours=3, minutes=2))
    await look(database, "moody", now=started + timedelta(hours=3, minutes=3))
    assert await firing(connection) == [("stale", "")]
    assert await messages(connection) == [("pager", "stale", "firing")]
    await run(database, source)
    assert await firing(connection) == []


async def test_failing_run_leaves_a_stale_source_stale(database: ConnectionOptions, connection: Connection) -> None:
    source = Moody()
    await run(database, source)
    await hourly(connection)
    await look(database, "moody")
    await fail(database, source)
    assert [kind for kind, _ in await firing(connection)] == ["failing", "stale"]


async def test_source_that_never_succeeded_grows_stale_as_well(
    database: ConnectionOptions, connection: Connection
) -> None:
    await fail(database, Moody())
    await hourly(connection)
    await look(database, "moody", "unknown")
    stale = [each for each in await alerts.latest(connection, all_states=False) if each["kind"] == "stale"]
    assert [each["summary"][:16] for each in stale] == ["no success yet, "]


async def test_look_leaves_a_source_alone_whose_run_is_ending(
    database: ConnectionOptions, connection: Connection
) -> None:
    await run(database, Moody())
    await hourly(connection)
    async with connection.transaction():
        await connection.execute("update sources set last_success_at = now() where name = 'moody'")
        await look(database, "moody")
    assert await firing(connection) == []


async def test_what_others_find_makes_alerts_and_ends_them(database: ConnectionOptions, connection: Connection) -> None:
    await run(database, Moody())
    await connection.execute(
        "insert into schema_drift_events (source_id, run_id, kind, field, expected, seen, share, confidence, state) "
        "select s.id, r.id, 'field_missing', f, '{}', '{}', 1, 1, 'open' "
        "from sources s join etl_runs r on r.source_id = s.id cross join unnest(array['price', 'unit']) f"
    )
    await connection.execute(
        "insert into quality_results "
        "(run_id, position, source_id, name, level, passed, message, definition, fingerprint) "
        "select r.id, n, r.source_id, 'check ' || n, level, false, 'too few rows', '{}', '' "
        "from etl_runs r, (values (0, 'fail'), (1, 'warn')) as q(n, level)"
    )
    await connection.execute(
        "insert into run_anomalies (run_id, source_id, measure, expected_low, expected_high, seen, score, message) "
        "select id, source_id, 'volume', 90, 110, 2, 40, '2 records, where 90 to 110 are usual' from etl_runs"
    )
    now = datetime.now(UTC)
    await look(database, "moody", now=now)
    listed = {each["kind"]: each["summary"] for each in await alerts.latest(connection, all_states=False)}
    assert listed == {
        "drift": "2 open findings of kind field_missing: price, unit",
        "quality": "too few rows",
        "anomaly": "2 records, where 90 to 110 are usual",
    }
    await connection.execute("update schema_drift_events set state = 'accepted'")
    await look(database, "moody", now=now)
    assert await firing(connection) == [("anomaly", "volume"), ("quality", "check 0")]
    await run(database, Moody())
    assert ("anomaly", "volume") not in await firing(connection)


async def test_run_that_failed_for_quality_alone_is_no_failing_source(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    await fail(database, source)
    await run(database, source)
    code = "quality_check_failed"
    await connection.execute("update etl_runs set state = 'failed', error_code = $1 where state = 'succeeded'", code)
    await look(database, "moody", now=datetime.now(UTC))
    assert [kind for kind, _ in await firing(connection)] == []


async def test_old_alerts_are_dropped_with_their_messages(database: ConnectionOptions, connection: Connection) -> None:
    source = Moody()
    await fail(database, source)
    await run(database, source)
    await connection.execute("update alert_deliveries set delivered_at = now() where hook = 'pager'")
    soon, late = datetime.now(UTC) + timedelta(days=89), datetime.now(UTC) + timedelta(days=91)
    assert await alerts.prune(connection, late) == 0, "a message waits"
    await connection.execute("update alert_deliveries set given_up_at = now() where hook = 'team'")
    assert await alerts.prune(connection, soon) == 0
    assert await alerts.prune(connection, late) == 1
    assert await messages(connection) == []


async def test_run_of_a_source_that_is_well_writes_no_alert(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Moody()
    await run(database, source)
    await run(database, source)
    assert await alerts.latest(connection, all_states=True) == []


async def test_source_that_no_scheduler_reads_any_more_has_no_alert_and_no_open_circuit(
    database: ConnectionOptions, connection: Connection
) -> None:
    source, others = Moody(), Moody("by hand")
    for each in (source, others):
        await fail(database, each)
        await fail(database, each)
    await hourly(connection)
    before = await alert_outbox.claim(connection, "pager", LATER, LATER)
    assert before is not None
    stop = asyncio.Event()
    stop.set()
    with capture_logs() as logs:
        await Scheduler([], Conditions(database, stop=stop)).run()
    said = [each["message"] for each in logs if each["event"] == "alert.resolved"]
    note = "no scheduler reads this source any more, it is not in the configuration; it was: source: no route to host"
    assert f"failing: {note}" in said
    assert await firing(connection) == [("circuit", ""), ("failing", "")]
    assert {each["source"] for each in await alerts.latest(connection, all_states=False)} == {"by hand"}
    assert await connection.fetchval("select circuit_state from sources where name = 'moody'") == "closed"
    told = await connection.fetch(
        "select d.hook, a.kind from alert_deliveries d join alerts a on a.id = d.alert_id "
        "where d.transition = 'resolved' order by 1, 2"
    )
    assert [tuple(each) for each in told] == [("pager", "circuit"), ("pager", "failing"), ("team", "failing")]

    again = await alert_outbox.claim(connection, "pager", LATER + timedelta(hours=1), LATER)
    assert again is not None
    assert webhook_body(message_of(again)) == webhook_body(message_of(before)), "a message is the same at each try"
    last = None
    while (waiting := await alert_outbox.claim(connection, "team", LATER, LATER)) is not None:
        last = message_of(waiting)
        await alert_outbox.delivered(connection, waiting.id, LATER)
    assert last is not None
    assert (last.transition, last.source, last.summary, "ended" in last.detail) == ("resolved", "moody", note, False)


async def test_metrics_give_no_verdict_on_a_source_that_no_scheduler_reads_any_more(
    database: ConnectionOptions, connection: Connection
) -> None:
    for name in ("moody", "by hand"):
        await run(database, Moody(name))
    await connection.execute(
        "insert into schema_drift_events (source_id, run_id, kind, field, share, confidence, state) "
        "select id, 1, 'field_missing', 'price', 1, 1, 'open' from sources"
    )
    await connection.execute("update etl_runs set trigger = 'schedule' where id = 1")
    await hourly(connection)
    assert {each.source for each in (await metrics.read_facts(connection)).of("drift_open")} == {"moody", "by hand"}
    await freshness.forget_intervals(connection, [])
    assert {each.source for each in (await metrics.read_facts(connection)).of("drift_open")} == {"by hand"}
