"""Replaying stored payloads through another mapping: the plan says what apply does, and apply does what it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import IdentityChangedError, NotFoundError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.operations.replay import Chosen, plan
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.services import stored_pages
from kasparro.services.replay_plans import ReplayPlan
from tests.replays import BEFORE, MIXED, ROWS, WHERE, Items, counts


@pytest.fixture
async def items(tmp_path: Path, database: ConnectionOptions, connection: Connection) -> Items:
    made = Items(tmp_path, database, connection)
    made.write(ROWS)
    await made.load()
    return made


def done(outcome: RunOutcome) -> dict[str, int]:
    assert outcome.error is None, outcome.error
    assert outcome.row is not None
    names = ("fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted")
    return {name: outcome.row[name] for name in (*names, "raw_written") if outcome.row[name]}


def fields(planned: ReplayPlan) -> dict[str, int]:
    return {each["field"]: each["records"] for each in planned.findings["fields"]}


CHANGES = [
    ("another column", BEFORE.replace("title: name", "title: kind"), {"changed": 20}, {"title": 20}, {"updated": 20}),
    (
        "one that makes no difference to most",
        BEFORE.replace("value: price", "value: price, unit: {expr: \"price == '7.50' && 'EUR' || null\"}"),
        {"changed": 1, "unchanged": 19},
        {"unit": 1},
        {"updated": 20},
    ),
    (
        "a field more, and an attribute",
        BEFORE.replace("category: kind", "category: kind, body: name, attributes: {stock: stock, left: stock}"),
        {"changed": 20},
        {"body": 20, "attributes.left": 20, "attributes.stock": 20},
        {"updated": 20},
    ),
    ("a field less", "map: {title: name}", {"changed": 20}, {"value": 20, "category": 20}, {"updated": 20}),
    ("where", WHERE + BEFORE, {"unchanged": 13, "removed": 7}, {}, {"unchanged": 13, "filtered": 7}),
    (
        "where, and another column",
        WHERE + BEFORE.replace("title: name", "title: kind"),
        {"changed": 13, "removed": 7},
        {"title": 13},
        {"updated": 13, "filtered": 7},
    ),
    (
        "a field that is no number in every fourth",
        BEFORE.replace("value: price", "value: stock"),
        {"changed": 15, "rejected": 5},
        {"value": 15},
        {"updated": 15, "rejected": 5},
    ),
    (
        "a marker of what is deleted",
        BEFORE + """, deletes: {tombstone: "kind == 'y'"}""",
        {"unchanged": 13, "deleted": 7},
        {},
        {"unchanged": 13, "deleted": 7},
    ),
    ("nothing", BEFORE, {"unchanged": 20}, {}, {"unchanged": 20}),
    ("a null text more", BEFORE + ', null_values: ["", "none"]', {"unchanged": 20}, {}, {"updated": 20}),
    ("a content that is hashed otherwise", BEFORE + ", ignore: [stock]", {"unchanged": 20}, {}, {"updated": 20}),
]


@pytest.mark.parametrize(("settings", "expected", "changed", "applied"), [each[1:] for each in CHANGES],
                         ids=[each[0] for each in CHANGES])  # fmt: skip
async def test_apply_does_what_the_plan_says(
    items: Items, settings: str, expected: dict[str, int], changed: dict[str, int], applied: dict[str, int]
) -> None:
    before = await items.records()
    items.settings = settings
    planned = await items.plan()
    assert counts(planned) == expected
    assert fields(planned) == changed
    assert planned.findings["differs"] is (expected.keys() != {"unchanged"})
    assert await items.records() == before

    outcome = await items.apply(planned, 2)
    assert done(outcome) == {"fetched": 20, **applied}
    after = await items.records()
    gone = {key for key, row in after.items() if row["deletion"] == "replay"}
    assert len(gone) == sum(expected.get(name, 0) for name in ("removed", "rejected", "deleted"))
    differing = {key for key, row in after.items() if row["record_hash"] != before[key]["record_hash"]} - gone
    assert len(differing) == expected.get("changed", 0)
    moved = {key for key, row in after.items() if row["last_changed_at"] != before[key]["last_changed_at"]}
    assert moved == differing | gone
    assert {key: row["raw_id"] for key, row in after.items()} == {key: row["raw_id"] for key, row in before.items()}
    assert await items.digest() == await items.clean_digest()
    assert counts(await items.plan()) == {
        name: number for name, number in (("unchanged", 20 - len(gone)), ("still_left_out", len(gone))) if number
    }


async def test_samples_show_what_changes(items: Items) -> None:
    items.settings = BEFORE.replace("value: price", "value: stock")
    found = (await items.plan()).findings
    assert found["fields"][0]["samples"] == [
        {"key": f"i{n}", "locator": f"items.csv:{n + 2}", "before": f"{n}.50", "after": str(n)} for n in (1, 2, 3)
    ]
    (reject,) = found["rejects"]
    assert (reject["code"], reject["field"], reject["records"]) == ("invalid_decimal", "value", 5)
    assert reject["samples"][0] == {
        "key": "i0", "locator": "items.csv:2", "message": '"none" is not a decimal number',
    }  # fmt: skip


async def test_plan_touches_nothing_but_its_own_row(items: Items, connection: Connection) -> None:
    async def counted() -> dict[str, int]:
        await connection.execute("select pg_stat_force_next_flush()")
        rows = await connection.fetch(
            "select relname, n_tup_ins + n_tup_upd + n_tup_del as written from pg_stat_user_tables "
            "where relname not in ('replay_plans', 'mapping_versions')"
        )
        return {row["relname"]: row["written"] for row in rows}

    before = await counted()
    items.settings = MIXED
    await items.plan()
    assert await counted() == before


async def test_left_out_records_come_back_when_the_mapping_takes_them_again(items: Items) -> None:
    first = await items.digest()
    items.settings = MIXED
    planned = await items.plan()
    assert counts(planned) == {"changed": 10, "removed": 7, "rejected": 3}
    await items.apply(planned)
    assert await items.connection.fetchval("select count(*) from rejected_records where state = 'open'") == 3

    items.settings = BEFORE
    planned = await items.plan()
    assert counts(planned) == {"changed": 10, "added": 10}
    assert done(await items.apply(planned)) == {"fetched": 20, "updated": 20}
    assert await items.digest() == first
    rejects = await items.connection.fetch("select state, resolution, raw_id, times from rejected_records")
    assert [tuple(row)[:2] for row in rejects] == [("resolved", "loaded")] * 3
    assert {row["times"] for row in rejects} == {1}


async def test_reject_of_a_newer_payload_stays_open_when_the_older_is_replayed(items: Items) -> None:
    items.write([*ROWS[:3], "i3,item 3,broken,x,3", *ROWS[4:]])
    await items.load()
    items.settings = BEFORE.replace("title: name", "title: kind")
    await items.apply(await items.plan())
    assert await items.connection.fetchval("select state from rejected_records") == "open"
    assert (await items.records())["i3"]["value"] == "3.50"


async def test_records_that_the_source_deleted_are_not_replayed(items: Items) -> None:
    await items.connection.execute(
        "update unified_data set deleted_at = now(), deletion = 'tombstone' where record_key = 'i1'"
    )
    items.settings = BEFORE.replace("title: name", "title: kind")
    assert counts(await items.plan()) == {"changed": 19}


@pytest.mark.parametrize("change", ["mapping", "where", "data", "applied", "unmapped data"])
async def test_outdated_plan_is_refused(items: Items, change: str) -> None:
    items.settings = BEFORE.replace("title: name", "title: kind")
    planned = await items.plan()
    reasons = {
        "mapping": "the mapping has changed since",
        "where": "the source's configuration has changed since",
        "data": "the source's records have changed since",
        "applied": "it is applied already",
        "unmapped data": "runs have written since (2 rows), though records are the same",
    }
    if change == "mapping":
        items.settings = BEFORE.replace("title: name", "title: stock")
    elif change == "where":
        items.settings = WHERE + items.settings
    elif change == "data":
        items.write([*ROWS, "i20,item 20,20.50,x,20"])
    elif change == "applied":
        await items.apply(planned)
    else:
        items.settings, after = BEFORE, items.settings
        items.write([*ROWS[:19], f"{ROWS[19].rpartition(',')[0]},99"])
        await items.load()
        items.settings = after
    if change == "data":
        items.settings, after = BEFORE, items.settings
        await items.load()
        items.settings = after
    before = await items.records()

    outcome = await items.apply(planned)
    assert outcome.row is None
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("plan_outdated", 9)
    assert outcome.error.message == f"source items: plan {planned.id} cannot be applied: {reasons[change]}"
    assert outcome.error.hint == "plan again: `kasparro replay plan items`"
    assert await items.records() == before


async def test_plan_of_an_unknown_source_or_with_another_key_is_refused(items: Items) -> None:
    job = items.job()
    with pytest.raises(NotFoundError, match="source other"):
        await plan(items.connection, items.job("other"), Chosen())
    with pytest.raises(IdentityChangedError):
        await plan(items.connection, replace(job, identity={"type": "csv", "key": ["name"]}), Chosen())
    with pytest.raises(NotFoundError, match="run 77: there is none"):
        await plan(items.connection, job, Chosen(run_id=77))


async def test_selection_by_run_and_by_time(items: Items) -> None:
    between = datetime.now(UTC)
    items.write([*ROWS, *(f"j{n},more {n},1,x,1" for n in range(4))])
    second = await items.load()
    assert second.row is not None
    items.settings = BEFORE.replace("title: name", "title: kind")
    for chosen, expected in (
        ({"run_id": second.row["id"]}, 4),
        ({"since": between}, 4),
        ({"until": between}, 20),
        ({"since": between, "until": between}, 0),
        ({"since": between - timedelta(days=1)}, 24),
    ):
        assert counts(await items.plan(**chosen)) == ({"changed": expected} if expected else {})
    planned = await items.plan(since=between)
    assert done(await items.apply(planned)) == {"fetched": 4, "updated": 4}
    assert {row["title"] for key, row in (await items.records()).items() if key.startswith("j")} == {"x"}
    assert (await items.records())["i1"]["title"] == "item 1"


async def test_records_are_read_in_whichever_way(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large source in order, in pieces, by single ids; of a small one beside a large one by itself."""
    items.name = "beside"
    items.write([f"b{n},beside {n},1,x,1" for n in range(30)])
    await items.load()
    items.settings = BEFORE.replace("title: name", "title: kind")
    expected = (await items.plan()).findings
    assert expected["counts"]["changed"] == 30
    for name, value in (("_FEW", 3), ("_FIRST_PIECE", 2), ("_LARGEST_PIECE", 7), ("_SMALLEST_PIECE", 1), ("_DENSE", 0)):
        monkeypatch.setattr(stored_pages, name, value)
        planned = await items.plan()
        assert planned.findings == expected
    assert done(await items.apply(planned, 2)) == {"fetched": 30, "updated": 30}
    assert await items.digest() == await items.clean_digest()
    assert {row["title"] for row in (await items.records()).values()} == {"x"}


async def test_page_closes_at_its_size(items: Items) -> None:
    items.limits = BatchLimits(records=100, size_bytes=200)
    items.settings = BEFORE.replace("title: name", "title: kind")
    outcome = await items.apply(await items.plan())
    assert done(outcome) == {"fetched": 20, "updated": 20}


async def test_payloads_that_retention_has_dropped_are_counted_and_left_alone(items: Items) -> None:
    await items.connection.execute("insert into kept_payloads select * from raw_csv_data where record_key = 'i1'")
    await items.connection.execute("delete from raw_csv_data where record_key in ('i1', 'i2', 'i3')")
    items.settings = BEFORE.replace("title: name", "title: kind")
    planned = await items.plan()
    assert (counts(planned), planned.findings["missing"]) == ({"changed": 18}, 2)
    assert done(await items.apply(planned)) == {"fetched": 18, "updated": 18}
    titles = {key: row["title"] for key, row in (await items.records()).items()}
    assert (titles["i1"], titles["i2"], titles["i3"]) == ("x", "item 2", "item 3")


async def test_open_pass_is_not_disturbed(items: Items, connection: Connection) -> None:
    """What comes a second time in it is a duplicate, as if there had been no replay in between."""
    items.write([*ROWS, *(f"j{n},more {n},1,x,1" for n in range(20)), "j1,again,2,x,2"])

    async def run(*plans: str) -> RunOutcome:
        faults = Faults(parse_plans(",".join(plans), environment="test") if plans else ())
        conditions = Conditions(items.options, limits=items.limits, faults=faults)
        return await run_source(items.job(), Request(), conditions)

    broken_off = await run("fetch:error:3")
    before = await connection.fetch("select * from etl_checkpoints order by partition, lane")
    assert broken_off.row is not None
    items.settings, mapped = BEFORE.replace("title: name", "title: kind"), items.settings
    await items.apply(await items.plan())
    assert await connection.fetch("select * from etl_checkpoints order by partition, lane") == before
    items.settings = mapped
    resumed = await run()
    assert resumed.row is not None
    assert resumed.row["resumes_run_id"] == broken_off.row["id"]
    assert done(resumed) == {"fetched": 11, "inserted": 10, "duplicate": 1, "raw_written": 11}


async def test_stored_rows_with_escapes_or_another_header_are_judged_the_same(items: Items) -> None:
    odd = ['o1,"say ""hi""",1.5,x,1', "o2,back\\slash,2.5,x,2", "o3,tab\there,3.5,y,3", "o4,grün,4.5,y,4"]
    rows = [f"r{n},row {n},{n}.25,z,{n}" for n in range(900)]
    items.write([*ROWS, *odd, *rows[:450], *odd[:1], *rows[450:]])
    items.limits = BatchLimits(records=700)
    await items.load()
    (items.folder / "items.csv").write_text("id,name,price,kind\nq1,other header,1.5,x\n", encoding="utf-8")
    await items.load()
    (items.folder / "items.csv").unlink()
    items.settings = BEFORE.replace("title: name", "title: kind, body: name, attributes: '*'")
    planned = await items.plan()
    assert counts(planned) == {"changed": 925}
    assert done(await items.apply(planned, 2)) == {"fetched": 925, "updated": 925}
    odd_rows = await items.connection.fetch("select record_key, body from unified_data where record_key ~ '^[oq]'")
    assert {row["record_key"]: row["body"] for row in odd_rows} == {
        "o1": 'say "hi"', "o2": "back\\slash", "o3": "tab\there", "o4": "grün", "q1": "other header",
    }  # fmt: skip
    items.write([*ROWS, *odd, *rows])
    clean = await items.load("clean")
    assert clean.row is not None
    kept = await items.connection.fetch(
        "select a.record_key from unified_data a join unified_data b using (record_key) "
        "where a.id < b.id and a.record_hash = b.record_hash"
    )
    assert len(kept) == 924
