"""Drift in real runs: what is held back, what is found, and when it is over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.demo.week import load_week
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.drift.accepted import with_accepted
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.job import SourceJob, build_job, watched_by
from kasparro.ingestion.operations.judging import would_pass
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits, Payload
from kasparro.schemas.configuration import parse_configuration
from kasparro.services import drift, sources
from kasparro.services.drift import DriftEvent
from kasparro.services.reject_lists import RejectFilter
from tests.api_pages import Collection, client, reply
from tests.http_server import Upstream

MAP = "{title: properties.place, value: properties.mag, occurred_at: properties.time, attributes: {kind: kind}}"
CONFIGURATION = """
sources:
  - name: quakes
    type: api
    url: URL
    allow_private: true
    records: data
    pagination: {type: page}
    rate_limit: {requests: 1000, per: 1s}
    key: id
    map: MAP
    drift: DRIFT
    SETTINGS
"""


class Quakes:
    """A JSON API of earthquakes, and a source that reads it."""

    def __init__(self, options: ConnectionOptions, upstream: Upstream, http: Any) -> None:
        self.options = options
        self.http = http
        self.given = 300
        self.collection = Collection([quake(number) for number in range(300)], size=100)
        self.url = upstream.on("/quakes", self.collection)
        self.map = MAP
        self.drift = "{}"
        self.settings = ""

    def job(self) -> SourceJob:
        text = CONFIGURATION.replace("URL", self.url).replace("MAP", self.map).replace("DRIFT", self.drift)
        text = text.replace("SETTINGS", self.settings)
        self.config = parse_configuration(text, {}).sources[0]
        return build_job(self.config, Path(), self.http.bound)

    async def run(self, *, limits: BatchLimits | None = None, **request: Any) -> RunOutcome:
        conditions = Conditions(self.options, limits=limits or BatchLimits())
        return await run_source(self.job(), Request(**request), conditions)

    async def requeue(self) -> RunOutcome:
        chosen = RejectFilter()
        job, request = requeue_job(self.job(), chosen, self.options), requeue_request(chosen, Request())
        return await run_source(job, request, Conditions(self.options))

    def change(self, change: Callable[[Payload], None]) -> None:
        """The upstream gives all of its records again, changed."""
        for record in self.collection.records:
            change(record)

    def give(self, count: int, change: Callable[[Payload], None] | None = None, *, plain: int = 0) -> None:
        """The upstream gives new records only: so many that are changed, behind so many `plain` ones."""
        self.collection.records = [quake(self.given + number) for number in range(plain + count)]
        self.given += plain + count
        if change is not None:
            for record in self.collection.records[plain:]:
                change(record)


def quake(number: int) -> dict[str, Any]:
    properties = {"mag": number % 60 / 10 + 0.1, "place": f"{number % 37} km of {number % 11}", "time": stamp(number)}
    return {"id": f"us{number:05}", "kind": "earthquake", "properties": properties}


def stamp(number: int) -> str:
    return f"2026-11-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"


def rename_mag(record: Payload) -> None:
    properties = record["properties"]
    record["properties"] = {{"mag": "magnitude"}.get(name, name): value for name, value in properties.items()}


def without_mag(record: Payload) -> None:
    del record["properties"]["mag"]


def mag_as_text(record: Payload) -> None:
    record["properties"]["mag"] = f"about {record['properties']['mag']}"


@pytest.fixture
async def quakes(database: ConnectionOptions, upstream: Upstream) -> Any:
    async with client() as http:
        yield Quakes(database, upstream, http)


async def events(connection: Connection) -> list[DriftEvent]:
    return await drift.page(connection, source=None, kind=None, state=None, before=None, limit=100)


async def values_missing(connection: Connection) -> int:
    return int(await connection.fetchval("select count(*) from unified_data where value is null"))


async def shape_of(connection: Connection) -> Any:
    return await drift.accepted_shape(connection, (await sources.get(connection, "quakes")).id)


async def test_a_renamed_field_overwrites_no_value(quakes: Quakes, connection: Connection) -> None:
    assert (await quakes.run()).state == "succeeded"
    quakes.change(rename_mag)
    with capture_logs() as logs:
        outcome = await quakes.run()
    assert outcome.state == "partial"
    assert outcome.row is not None
    assert (outcome.row["fetched"], outcome.row["rejected"]) == (300, 300)
    assert await values_missing(connection) == 0
    (event,) = await events(connection)
    assert (event.kind, event.field) == ("field_renamed", "properties.mag -> properties.magnitude")
    assert (event.state, event.policy, event.mapped) == ("open", "quarantine", True)
    assert event.confidence > 0.9
    assert event.first_example is not None
    assert "page" in event.first_example
    reject = await connection.fetchrow("select code, field, message from rejected_records limit 1")
    assert reject is not None
    assert (reject["code"], reject["field"]) == ("drift", "properties.mag")
    assert reject["message"] == 'there is no "properties.mag", which 100% of the accepted records have'
    assert [entry["field"] for entry in logs if entry["event"] == "drift.found"] == [event.field]
    counted = await connection.fetchval("select value from metric_counters where name = 'drift_events_total'")
    assert counted == 1


async def test_a_small_run_is_protected_by_what_is_known_and_by_what_is_open(
    quakes: Quakes, connection: Connection
) -> None:
    await quakes.run()
    quakes.give(3, rename_mag)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert (outcome.row["fetched"], outcome.row["rejected"]) == (3, 3)
    (event,) = await events(connection)
    assert (event.kind, event.field) == ("field_missing", "properties.mag")
    quakes.give(1, rename_mag)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert (outcome.row["fetched"], outcome.row["rejected"]) == (1, 1)
    (event,) = await events(connection)
    assert (event.run_id, event.last_run_id) == (2, 3)
    quakes.give(150, rename_mag)
    await quakes.run()
    renamed, missing = await events(connection)
    assert (renamed.kind, renamed.state) == ("field_renamed", "open")
    assert (missing.state, missing.closed_by) == ("gone", "run 4")
    assert missing.reason == "told of as field_renamed properties.mag -> properties.magnitude"
    assert await values_missing(connection) == 0


async def test_a_source_that_heals_ends_its_findings(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.give(150, without_mag)
    await quakes.run()
    quakes.give(5)
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.kind, event.state, event.closed_by) == ("field_missing", "gone", "run 3")


async def test_a_slow_source_loses_no_value_one_at_a_time(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    records = quakes.collection.records
    for number in range(3):
        without_mag(records[number])
        quakes.collection.records = [records[number]]
        assert (await quakes.run()).state == "partial"
    assert await values_missing(connection) == 0
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("field_missing", "properties.mag", "quarantine")


async def test_a_renamed_field_that_only_some_have_loses_no_value(quakes: Quakes, connection: Connection) -> None:
    def link(record: Payload, name: str) -> None:
        if int(record["id"][2:]) % 5 < 3:
            record.pop("link", None)
            record[name] = f"https://example.org/{record['id']}"

    quakes.map = MAP.replace("{title", "{url: link, title", 1)
    quakes.change(lambda record: link(record, "link"))
    await quakes.run()
    count = "select count(url) from unified_data"
    quakes.change(lambda record: link(record, "href"))
    outcome = await quakes.run()
    assert outcome.row is not None
    assert outcome.row["rejected"] == await connection.fetchval(count) == 180
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("field_renamed", "link -> href", "quarantine")
    quakes.collection.records = quakes.collection.records[:4]
    few = await quakes.run()
    assert few.row is not None
    assert few.row["rejected"] == 3
    requeued = await quakes.requeue()
    assert requeued.row is not None
    assert requeued.row["rejected"] == await connection.fetchval(count) == 180
    quakes.map = MAP.replace("{title", "{url: {expr: 'not_null(href, link)'}, title", 1)
    assert (await quakes.requeue()).state == "succeeded"
    assert await connection.fetchval(count) == 180


async def test_one_odd_record_among_many_is_loaded(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.give(1, without_mag, plain=199)
    assert (await quakes.run()).state == "succeeded"
    assert await events(connection) == []
    assert await values_missing(connection) == 1


async def test_values_of_other_types_are_held_back(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.give(150, mag_as_text)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("partial", 150)
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("type_changed", "properties.mag", "quarantine")
    message = await connection.fetchval("select message from rejected_records where record_key = 'us00300'")
    assert message == 'there is "about 0.1" at "properties.mag", where accepted records have a number'
    quakes.give(1, mag_as_text)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert outcome.row["rejected"] == 1
    assert {row["code"] for row in await connection.fetch("select code from rejected_records")} == {"drift"}


async def test_policy_fail_writes_nothing_of_the_batch(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    before = await connection.fetchval("select count(*) from raw_api_data")
    quakes.drift = "{field_missing: fail, field_renamed: fail}"
    quakes.give(150, rename_mag)
    outcome = await quakes.run()
    assert (outcome.state, outcome.error and outcome.error.code) == ("failed", "drift")
    assert outcome.error is not None
    assert outcome.error.exit_code == 7
    assert "properties.mag" in outcome.error.message
    assert await connection.fetchval("select count(*) from raw_api_data") == before
    (event,) = await events(connection)
    assert (event.kind, event.policy, event.run_id) == ("field_renamed", "fail", 2)


async def test_new_fields_are_accepted_at_once_and_known_from_then_on(quakes: Quakes, connection: Connection) -> None:
    def felt(record: Payload) -> None:
        record["felt"] = record["id"][-1]

    await quakes.run()
    quakes.give(150, felt)
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.kind, event.field, event.state, event.closed_by) == ("field_added", "felt", "accepted", "policy")
    assert "felt" in (await shape_of(connection))["fields"]
    quakes.give(150, felt)
    await quakes.run()
    assert len(await events(connection)) == 1


async def test_policy_warn_and_no_watch_hold_nothing_back(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.drift = "{field_missing: warn, field_renamed: warn}"
    quakes.give(150, rename_mag)
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.state, event.policy) == ("open", "warn")
    quakes.drift = "{watch: false}"
    quakes.give(150, without_mag)
    assert (await quakes.run()).state == "succeeded"
    assert len(await events(connection)) == 1


@pytest.mark.parametrize("few", [2, 150])
async def test_requeue_holds_back_until_the_mapping_is_mended(quakes: Quakes, connection: Connection, few: int) -> None:
    await quakes.run()
    quakes.change(rename_mag)
    await quakes.run()
    held = await quakes.requeue()
    assert held.row is not None
    assert (held.row["fetched"], held.row["rejected"]) == (300, 300)
    assert await passing(quakes, connection, "another mapping") == 0
    quakes.map = MAP.replace("properties.mag", "properties.magnitude")
    assert await passing(quakes, connection, None) == 300
    landed = await quakes.requeue()
    assert landed.row is not None
    assert (landed.state, landed.row["rejected"]) == ("succeeded", 0)
    assert await values_missing(connection) == 0
    quakes.give(few, rename_mag)
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.state, event.closed_by) == ("accepted", "mapping")
    assert "properties.magnitude" in (await shape_of(connection))["fields"]


async def passing(quakes: Quakes, connection: Connection, mapping_hash: str | None) -> int:
    job = quakes.job()
    found = await would_pass(
        connection, "quakes", RejectFilter(source="quakes"), job.transformer, mapping_hash or job.mapping_hash,
        watched=watched_by(quakes.config),
    )  # fmt: skip
    return sum(found.values())


async def test_requeue_passes_once_a_missing_field_is_accepted(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.give(150, without_mag)
    await quakes.run()
    (event,) = await events(connection)
    shape = with_accepted(await shape_of(connection), "field_missing", event.field, None)
    await drift.save_shape(connection, event.source_id, shape, run_id=None, at=event.created_at)
    await drift.close(connection, event.id, state="accepted", by="me", reason=None, at=event.created_at)
    outcome = await quakes.requeue()
    assert (outcome.state, await values_missing(connection)) == ("succeeded", 150)


async def test_a_rejected_rename_is_told_as_missing_and_added(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    quakes.give(150, rename_mag)
    await quakes.run()
    (event,) = await events(connection)
    await drift.close(connection, event.id, state="rejected", by="me", reason="no", at=event.created_at)
    quakes.give(150, rename_mag)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert outcome.row["rejected"] == 150
    kinds = {(event.kind, event.state) for event in await events(connection)}
    assert kinds == {("field_renamed", "rejected"), ("field_missing", "open"), ("field_added", "accepted")}


async def test_small_first_runs_teach_until_there_are_enough(quakes: Quakes, connection: Connection) -> None:
    quakes.give(60)
    await quakes.run()
    assert (await shape_of(connection))["records"] == 60
    quakes.give(60)
    await quakes.run()
    assert (await shape_of(connection))["records"] == 120
    quakes.give(50)
    await quakes.run()
    assert (await shape_of(connection))["records"] == 120  # fewer than a hundred say nothing, and so teach nothing
    quakes.give(100)
    await quakes.run()
    assert (await shape_of(connection))["records"] == 220


async def test_a_run_that_loses_its_connection_finds_nothing_and_teaches(
    quakes: Quakes, connection: Connection
) -> None:
    faults = Faults(parse_plans("committed:disconnect:2", environment="development"))
    conditions = Conditions(quakes.options, limits=BatchLimits(records=100), faults=faults)
    outcome = await run_source(quakes.job(), Request(), conditions)
    assert (outcome.state, len(outcome.earlier)) == ("succeeded", 1)
    assert await connection.fetchval("select count(*) from unified_data") == 300
    assert (await shape_of(connection))["records"] == 100  # those that the last run has read
    assert (await quakes.run()).state == "succeeded"
    assert await events(connection) == []


WEEK = """
sources:
  - name: usgs
    type: api
    url: URL
    allow_private: true
    records: features
    key: id
    map: {title: properties.title, value: properties.mag, url: properties.url, attributes: {at: properties.place}}
"""


async def test_a_real_week_twice_gives_nothing_and_its_renamed_magnitude_one_finding(
    database: ConnectionOptions, upstream: Upstream, connection: Connection
) -> None:
    collection = {"features": [{"id": each.id, "properties": dict(each.properties)} for each in load_week().events]}
    url = upstream.on("/week", lambda _: reply(collection))
    config = parse_configuration(WEEK.replace("URL", url), {}).sources[0]
    async with client() as http:

        async def run() -> RunOutcome:
            return await run_source(build_job(config, Path(), http.bound), Request(), Conditions(database))

        assert [(await run()).state for _ in range(2)] == ["succeeded", "succeeded"]
        assert await events(connection) == []
        before = await connection.fetch("select record_key, record_hash from unified_data order by id")
        for feature in collection["features"]:
            rename_mag(feature)
        assert (await run()).state == "partial"
    (event,) = await events(connection)
    assert (event.field, event.confidence > 0.9) == ("properties.mag -> properties.magnitude", True)
    assert await connection.fetch("select record_key, record_hash from unified_data order by id") == before


CSV = """
sources:
  - name: quakes
    type: csv
    path: quakes*.csv
    key: id
    map: {title: place, value: mag, attributes: "*"}
"""


async def test_a_column_that_has_gone_holds_its_rows_back(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    config = parse_configuration(CSV, {}).sources[0]
    write(tmp_path / "quakes1.csv", ("id", "mag", "place", "depth"), range(300))
    outcome = await run_source(build_job(config, tmp_path), Request(), Conditions(database))
    assert outcome.state == "succeeded"
    write(tmp_path / "quakes2.csv", ("id", "place", "depth"), range(150, 400))
    outcome = await run_source(build_job(config, tmp_path), Request(), Conditions(database))
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("partial", 250)
    assert await values_missing(connection) == 0
    (event,) = await events(connection)
    assert (event.kind, event.field) == ("field_missing", "mag")
    assert event.first_example == "quakes2.csv:2: (missing)"
    assert await connection.fetchval("select min(locator) from rejected_records") == "quakes2.csv:10"


def write(path: Path, names: tuple[str, ...], numbers: range) -> None:
    cells = {"id": "e{}", "mag": "{}.5", "place": "at {}", "depth": "{}"}
    rows = [
        ",".join(cells[name].format(number % 97 if name != "id" else number) for name in names) for number in numbers
    ]
    path.write_text("\n".join([",".join(names), *rows, ""]))


async def test_a_run_without_records_writes_nothing(quakes: Quakes, connection: Connection) -> None:
    await quakes.run()
    before = await connection.fetchrow("select * from source_shapes")
    quakes.collection.records.clear()
    assert (await quakes.run()).state == "succeeded"
    assert await connection.fetchrow("select * from source_shapes") == before
    assert (await shape_of(connection))["records"] == 300


def rename_active(record: Payload) -> None:
    record["is_active"] = record.pop("active")


def activate(record: Payload) -> None:
    record["active"] = True


async def deleted(connection: Connection) -> int:
    return int(await connection.fetchval("select count(*) from unified_data where deleted_at is not null"))


async def deletable(quakes: Quakes, tombstone: str) -> None:
    quakes.settings = f'deletes: {{tombstone: "{tombstone}"}}'
    quakes.change(activate)
    assert (await quakes.run()).state == "succeeded"


@pytest.mark.parametrize("tombstone", ["!active", "active != `true`", "!not_null(live, active)"])
async def test_a_renamed_field_that_tells_deletions_deletes_nothing(
    quakes: Quakes, connection: Connection, tombstone: str
) -> None:
    await deletable(quakes, tombstone)
    quakes.change(rename_active)
    outcome = await quakes.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"], await deleted(connection)) == ("partial", 300, 0)
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("field_renamed", "active -> is_active", "quarantine")
    assert event.mapped
    quakes.collection.records = [{**quake(7), "title": "changed", "is_active": True}]
    assert (await quakes.run()).state == "partial"
    held = await quakes.requeue()
    assert held.row is not None
    assert (held.row["rejected"], await deleted(connection)) == (held.row["fetched"], 0)
    quakes.settings = 'deletes: {tombstone: "!not_null(is_active, active)"}'
    landed = await quakes.requeue()
    assert landed.row is not None
    assert (landed.state, landed.row["rejected"], await deleted(connection)) == ("succeeded", 0, 0)


async def test_what_tells_deletions_in_another_type_deletes_nothing(quakes: Quakes, connection: Connection) -> None:
    await deletable(quakes, "active != `true`")
    quakes.change(lambda payload: payload.update(active="true"))
    outcome = await quakes.run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"], await deleted(connection)) == ("partial", 300, 0)
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("type_changed", "active", "quarantine")


async def test_a_time_of_deletion_that_no_live_record_has_deletes(quakes: Quakes, connection: Connection) -> None:
    quakes.settings = 'deletes: {tombstone: "deleted_at"}'
    quakes.change(lambda payload: payload.update(deleted_at=None))
    assert (await quakes.run()).state == "succeeded"
    quakes.change(lambda payload: payload.update(deleted_at="2026-11-23T00:00:00Z"))
    assert (await quakes.run()).state == "succeeded"
    assert (await deleted(connection), await events(connection)) == (300, [])


async def test_stubs_that_have_what_tells_a_deletion_delete(quakes: Quakes, connection: Connection) -> None:
    await deletable(quakes, "deleted || !active")
    stubs = [{"id": quake(number)["id"], "deleted": True} for number in range(5)]
    quakes.collection.records = [*stubs, *({"id": quake(number)["id"], "active": False} for number in range(5, 9))]
    assert (await quakes.run()).state == "succeeded"
    assert (await deleted(connection), await events(connection)) == (9, [])


async def test_stubs_without_what_tells_a_deletion_are_held_back_unless_absence_tells_it(
    quakes: Quakes, connection: Connection
) -> None:
    await deletable(quakes, "!active")
    quakes.collection.records = [{"id": quake(number)["id"]} for number in range(5)]
    assert (await quakes.run()).state == "partial"
    assert await deleted(connection) == 0
    quakes.settings = "deletes: {tombstone: \"!not_null(active, '')\"}"
    quakes.collection.records = [{"id": quake(number)["id"], "seq": 2} for number in range(5)]
    await quakes.run()
    assert await deleted(connection) == 5


async def test_a_renamed_field_that_filters_is_told_of(quakes: Quakes, connection: Connection) -> None:
    quakes.settings = "where: typ == 'quake'"
    quakes.map = MAP.replace("{kind: kind}", "{}")
    quakes.change(rename_kind)
    quakes.collection.records.extend({"id": f"other{number}", "typ": "blast"} for number in range(100))
    assert (await quakes.run()).state == "succeeded"
    quakes.change(typ_again)
    for _ in range(2):
        outcome = await quakes.run()
        assert outcome.row is not None
        assert (outcome.state, outcome.row["filtered"]) == ("succeeded", 400)
        (event,) = await events(connection)
        assert (event.kind, event.field, event.policy) == ("field_renamed", "typ -> type", "warn")
    quakes.settings = "where: not_null(type, typ) == 'quake'"
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.state, event.closed_by) == ("accepted", "mapping")


def rename_kind(record: Payload) -> None:
    del record["kind"]
    record["typ"] = "quake"


def typ_again(record: Payload) -> None:
    record["type"] = record.pop("typ")


async def test_records_that_always_lacked_what_filters_are_no_drift(quakes: Quakes, connection: Connection) -> None:
    quakes.settings = "where: properties.mag"
    for record in quakes.collection.records[:130]:
        without_mag(record)
    assert (await quakes.run()).state == "succeeded"
    quakes.give(160, without_mag, plain=140)
    assert (await quakes.run()).state == "succeeded"
    assert await events(connection) == []
    quakes.give(300, without_mag)
    assert (await quakes.run()).state == "succeeded"
    (event,) = await events(connection)
    assert (event.kind, event.field, event.policy) == ("field_missing", "properties.mag", "warn")
    quakes.give(200)
    await quakes.run()
    assert [each.state for each in await events(connection)] == ["gone"]
