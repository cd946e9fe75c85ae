"""Two runs side by side, down to the record: what is new, changed, gone, and what cannot be told."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import IncomparableError, NotFoundError, SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.operations.compared_kinds import KINDS
from kasparro.ingestion.operations.comparing import Listing, compare
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.configuration import Deletes
from kasparro.schemas.pages.comparison import RunComparison
from kasparro.services import run_thinning
from kasparro.services.reject_lists import RejectFilter
from tests.integration.test_requeue import mended
from tests.replays import MIXED, ROWS, Items
from tests.scripted import Records, ScriptedSource, job_of, row

ALL = Listing(kinds=KINDS, limit=1000)
NOTHING = {"new": "", "changed": "", "deleted": "", "gone": "", "remapped": "", "unchanged": ""}


class Source:
    """A scripted source, read again and again; `read` gives the number of the run."""

    def __init__(self, options: ConnectionOptions, connection: Connection, **settings: Any) -> None:
        self.options = options
        self.connection = connection
        self.settings = settings

    async def read(
        self, records: Records, *, lanes: int = 1, stop_at: int | None = None, full_refresh: bool = False, **job: Any
    ) -> int:
        """`stop_at`: the source goes away at that position, and the pass stays open."""

        def before(_partition: str, position: int) -> None:
            if stop_at is not None and position >= stop_at:
                raise SourceError("the source went away")

        source = ScriptedSource({"p": records}, before=before)
        request = Request(lanes=lanes, full_refresh=full_refresh)
        outcome = await run_source(job_of(source, **{**self.settings, **job}), request, Conditions(self.options))
        assert (outcome.error is not None) == (stop_at is not None), outcome.error
        assert outcome.row is not None
        return outcome.row["id"]

    async def compare(self, base: int, target: int, listing: Listing = ALL) -> RunComparison:
        return (await compare(self.connection, base, target, listing)).comparison


@pytest.fixture
def source(database: ConnectionOptions, connection: Connection) -> Source:
    return Source(database, connection)


def keys(*names: str, title: str = "a") -> list[dict[str, Any]]:
    return [row(name, title) for name in names]


def told(found: RunComparison) -> dict[str, str]:
    """Keys by kind; what cannot be told is not in it."""
    shown = {kind: "" for kind in KINDS if getattr(found.records.totals, kind) is not None}
    for kind in shown:
        listed = sorted(item.key for item in found.records.items if item.kind == kind)
        assert len(listed) == getattr(found.records.totals, kind)
        shown[kind] = " ".join(listed)
    return shown


@pytest.mark.parametrize("lanes", [1, 3])
async def test_records_are_new_changed_gone_and_unchanged(source: Source, lanes: int) -> None:
    base = await source.read(keys("a", "b", "c", "d", "e"), lanes=lanes)
    target = await source.read([*keys("a", "b", "e"), row("c", "other", value=2), row("f")], lanes=lanes)

    found = await source.compare(base, target)

    assert told(found) == {**NOTHING, "new": "f", "changed": "c", "gone": "d", "unchanged": "a b e"}
    (changed,) = [item for item in found.records.items if item.kind == "changed"]
    assert changed.changes is not None
    assert [(each.pointer, each.change, each.before, each.after) for each in changed.changes] == [
        ("/title", "changed", "a", "other"), ("/value", "added", None, 2),
    ]  # fmt: skip
    assert [(each.pointer, each.records) for each in found.records.fields] == [("/title", 1), ("/value", 1)]
    assert found.verdict == "source changed: 1 new, 1 changed, 1 gone"
    assert found.differs
    assert found.notes == []


async def test_two_equal_readings_differ_in_nothing(source: Source) -> None:
    base = await source.read(keys("a", "b"))
    target = await source.read(keys("a", "b"))

    found = await source.compare(base, target)

    assert told(found) == {**NOTHING, "unchanged": "a b"}
    assert (found.verdict, found.differs) == ("nothing changed", False)
    assert [cause.changed for cause in found.causes] == [False, False, False, False]


async def test_the_earlier_run_is_the_base(source: Source) -> None:
    first, second = await source.read(keys("a")), await source.read(keys("a", "b"))
    found = await source.compare(second, first)
    assert (found.swapped, found.base.id, found.target.id) == (True, first, second)
    assert told(found)["new"] == "b"


async def test_runs_long_past_are_compared_as_they_were(source: Source) -> None:
    first = await source.read(keys("a", "b"))
    second = await source.read([*keys("a"), row("b", "x")])
    for title in ("y", "z", "a"):
        await source.read(keys("a", "b", title=title))
    last = await source.read(keys("b", "c"))

    assert told(await source.compare(first, second)) == {**NOTHING, "changed": "b", "unchanged": "a"}
    found = await source.compare(first, last)
    assert told(found) == {**NOTHING, "new": "c", "gone": "a", "unchanged": "b"}, "b is what it was again"
    found = await source.compare(second, last)
    assert told(found) == {**NOTHING, "new": "c", "gone": "a", "changed": "b"}
    assert [(item.before_raw_id, item.after_raw_id) for item in found.records.items if item.key == "b"] == [(3, 9)]


async def test_a_resumed_reading_is_one(source: Source) -> None:
    records = keys(*"abcdefgh")
    first = await source.read(records, stop_at=3)
    second = await source.read(records, stop_at=6)
    third = await source.read(records)
    assert (await source.compare(first, third)).notes == [
        "records: both runs carried the same reading, the later one went on with it: there is nothing to compare"
    ]

    changed = [*keys(*"abcdefg"), row("h", "other"), row("i")]
    begun = await source.read(changed, stop_at=6)
    ended = await source.read(changed)

    for base in (first, second, third):
        for target in (begun, ended):
            found = await source.compare(base, target)
            assert told(found) == {**NOTHING, "new": "i", "changed": "h", "unchanged": "a b c d e f g"}
            assert (found.base.runs, found.target.runs) == ([first, second, third], [begun, ended])
            counters = {each.name: (each.base, each.target, each.delta) for each in found.counters}
            assert counters["fetched"] == (8, 9, 1)
            assert counters["inserted"] == (8, 1, -7)


async def test_what_an_unfinished_reading_lacks_is_not_known(source: Source) -> None:
    base = await source.read(keys(*"abcdef"))
    target = await source.read([row("a", "x"), *keys(*"bcef")], stop_at=3)

    found = await source.compare(base, target)

    assert told(found) == {"new": "", "changed": "a", "deleted": "", "remapped": "", "unchanged": "b c"}
    assert found.records.totals.gone is None
    assert found.notes == [f"gone: run {target} is no complete reading (p: was not finished)"]


async def test_a_nameless_reject_may_be_any_record(source: Source) -> None:
    base = await source.read(keys("a", "b"))
    target = await source.read([*keys("a"), row(None)])
    found = await source.compare(base, target)
    assert found.records.totals.gone is None
    assert found.notes == [
        f"gone: p:2 may have been rejected in run {target}, and its key cannot be told",
        f"run {target}: 1 rejected records stand as they did before it, if they stood",
    ]


async def test_rejected_and_filtered_records_stand_as_they_did(source: Source) -> None:
    base = await source.read(keys("a", "b", "c"))
    target = await source.read([row("a"), row("b", "x", bad=True), row("c", "y", skip=True)])
    found = await source.compare(base, target)
    assert told(found) == {**NOTHING, "unchanged": "a b c"}
    assert found.notes == [
        f"run {target}: 1 rejected and 1 filtered records stand as they did before it, if they stood"
    ]


async def test_a_tombstone_is_a_delete(database: ConnectionOptions, connection: Connection) -> None:
    source = Source(database, connection, deletes=Deletes(tombstone="deleted"))
    base = await source.read(keys("a", "b", "c"))
    target = await source.read([*keys("a", "c"), row("b", deleted=True)])
    again = await source.read([*keys("a"), row("b", deleted=True)])

    found = await source.compare(base, target)
    assert told(found) == {**NOTHING, "deleted": "b", "unchanged": "a c"}
    assert found.verdict == "source changed: 1 deleted"
    assert told(await source.compare(target, again)) == {**NOTHING, "gone": "c", "unchanged": "a b"}

    back = await source.read(keys("a", "b"))
    assert told(await source.compare(again, back)) == {**NOTHING, "changed": "b", "unchanged": "a"}
    assert told(await source.compare(base, target))["changed"] == "b", "it came back since: no tombstone stands"


async def test_what_a_snapshot_deletes_is_gone_and_may_return(
    database: ConnectionOptions, connection: Connection
) -> None:
    source = Source(database, connection, deletes=Deletes(snapshot=True, max_share=0.9))
    base = await source.read(keys("a", "b", "c"))
    without = await source.read(keys("a", "c"))
    back = await source.read(keys("a", "b", "c"))

    found = await source.compare(base, without)
    assert told(found) == {**NOTHING, "gone": "b", "unchanged": "a c"}
    found = await source.compare(without, back)
    assert told(found) == {**NOTHING, "new": "b", "unchanged": "a c"}
    assert [item.returned for item in found.records.items if item.key == "b"] == [True]
    assert told(await source.compare(base, back)) == {**NOTHING, "unchanged": "a b c"}


async def test_the_same_payloads_under_another_mapping(source: Source) -> None:
    base = await source.read(keys("a", "b"))
    target = await source.read(keys("a", "b"), full_refresh=True, mapping="2")

    found = await source.compare(base, target)

    assert told(found) == {**NOTHING, "unchanged": "a b"}
    assert found.records.rewritten == 2
    assert found.verdict == "mapping changed: 0 records with the same payload became others"
    assert {cause.what: cause.changed for cause in found.causes} == {
        "source": False, "mapping": True, "configuration": True, "code": False,
    }  # fmt: skip
    assert [(each.pointer, each.before, each.after) for each in found.mapping_changes] == [("/mapping", "1", "2")]
    assert found.differs


async def test_runs_that_cannot_be_compared_are_refused(source: Source, connection: Connection) -> None:
    run = await source.read(keys("a"))
    other = await Source(source.options, connection).read(keys("a"))
    await connection.execute("insert into sources (name, type, identity, config_hash) values ('b', 'csv', '{}', '')")
    await connection.execute("update etl_runs set source_id = 2 where id = $1", other)
    queued = await connection.fetchval(
        "insert into etl_runs (source_id, trigger, state) values (1, 'api', 'queued') returning id"
    )
    two = f"run {run} is of source scripted and run {other} is of source b"
    refused: Sequence[tuple[int, int, str]] = [
        (run, run, f"run {run} cannot be compared with itself"),
        (run, other, f"{two}: only runs of one source can be compared"),
        (run, queued, f"run {queued} is queued: it has not begun"),
    ]  # fmt: skip
    for base, target, why in refused:
        with pytest.raises(IncomparableError) as error:
            await source.compare(base, target)
        assert str(error.value) == why
    with pytest.raises(NotFoundError):
        await source.compare(run, 99)


async def test_records_are_listed_page_by_page(source: Source) -> None:
    base = await source.read(keys(*"abcdef"))
    target = await source.read([*keys(*"def", title="x"), *keys("g", "h")])
    kinds = ("new", "changed", "gone")
    listed: list[str] = []
    after: tuple[int, int] | None = None
    for _ in range(10):
        found = await compare(source.connection, base, target, Listing(kinds, after, limit=2))
        listed += [f"{item.kind} {item.key}" for item in found.comparison.records.items]
        assert found.total == 8
        after = found.next_after
        if after is None:
            break
    assert listed == ["new g", "new h", "changed d", "changed e", "changed f", "gone a", "gone b", "gone c"]


async def test_a_requeue_between_changes_what_it_loads(source: Source) -> None:
    """A reject is no state of its record until a requeue loads it."""
    base = await source.read(keys("a", "b"))
    rejecting = await source.read([row("a"), row("b", "x", bad=True), row("c", "y", bad=True)])
    job = mended(ScriptedSource({"p": []}))
    chosen = RejectFilter()
    outcome = await run_source(
        requeue_job(job, chosen, source.options), requeue_request(chosen, Request()), Conditions(source.options)
    )
    assert outcome.error is None
    assert outcome.row is not None
    requeue = outcome.row["id"]

    assert told(await source.compare(base, rejecting)) == {**NOTHING, "unchanged": "a b"}
    found = await source.compare(rejecting, requeue)
    assert {kind: names for kind, names in told(found).items() if names} == {"new": "c", "changed": "b"}
    assert found.target.operation == "requeue"
    assert found.notes[0] == f"gone: run {requeue} is no complete reading (it did not read the source on)"
    last = await source.read(keys("a", "b"), mapping="2")
    assert told(await source.compare(base, last)) == {**NOTHING, "unchanged": "a"}, "the mapping is another one"
    assert told(await source.compare(requeue, last))["changed"] == "b"


async def test_a_replay_says_which_records_the_mapping_changes(
    tmp_path: Path, database: ConnectionOptions, connection: Connection
) -> None:
    items = Items(tmp_path, database, connection)
    items.write(ROWS)
    first = (await items.load()).row
    items.settings = MIXED
    applied = (await items.apply(await items.plan())).row
    assert first is not None
    assert applied is not None

    found = (await compare(connection, first["id"], applied["id"], ALL)).comparison

    totals = found.records.totals
    assert (totals.new, totals.changed, totals.gone, totals.remapped) == (0, 0, None, 20), "10 changed, 10 left out"
    assert found.differs
    assert found.verdict == "mapping changed: 20 records with the same payload became others"


async def test_folded_batches_and_dropped_payloads_are_said(source: Source, connection: Connection) -> None:
    runs = [await source.read(keys("a", "b", title=title)) for title in ("one", "two", "three")]
    last = await source.read([row("a", "three"), row("b", "four")])
    source_id = await connection.fetchval("select id from sources")
    assert told(await source.compare(runs[1], runs[2]))["changed"] == "a b"

    await connection.execute("delete from raw_csv_data where run_id = $1 and record_key = 'a'", runs[2])
    found = await source.compare(runs[1], runs[2])
    assert found.notes == [
        "records: retention has dropped 1 payloads that came between the two: changes cannot be told"
    ]
    assert found.records.totals.changed is None
    told_by_digest = "source changed: its live records are others, as their digests say: records cannot be compared"
    assert (found.verdict, found.differs) == (told_by_digest, True)
    assert told(await source.compare(runs[2], last)) == {**NOTHING, "changed": "b", "unchanged": "a"}

    await connection.execute("delete from raw_csv_data where run_id = $1", runs[2])
    (changed,) = [each for each in (await source.compare(runs[2], last)).records.items if each.kind == "changed"]
    assert (changed.key, changed.changes) == ("b", None), "the payload before is there no more"

    assert (await run_thinning.fold(connection, source_id, datetime.now(UTC))).runs == 3
    found = await source.compare(runs[2], last)
    assert found.notes == [
        f"records: retention has folded the batches of run {runs[2]}: which records it read is not known"
    ]
    counters = {each.name: (each.base, each.target) for each in found.counters}
    assert counters["updated"] == (2, 1), "sums stay"


async def test_folded_batches_are_still_counted(source: Source, connection: Connection) -> None:
    base, target = await source.read(keys(*"abcdefg")), await source.read(keys(*"abcdefg"))
    assert (await run_thinning.fold(connection, 1, datetime.now(UTC))).batches == 3
    found = await source.compare(base, target)
    assert [(each.base, each.target) for each in found.counters if each.name == "batches"] == [(3, 3)]


async def test_runs_from_before_are_compared_by_their_counters(source: Source, connection: Connection) -> None:
    base, target = await source.read(keys("a")), await source.read(keys("a", "b"))
    await connection.execute("update etl_runs set last_raw_id = null, coverage = null where id = $1", base)
    found = await source.compare(base, target)
    assert found.notes == [f"records: run {base} is from before kasparro kept what is needed to compare records"]
    assert {each.name: each.delta for each in found.counters}["inserted"] == 0


async def test_drift_between_the_runs_is_listed(source: Source, connection: Connection) -> None:
    runs = [await source.read(keys("a")) for _ in range(3)]
    for number, run in enumerate(runs):
        await connection.execute(
            "insert into schema_drift_events (source_id, run_id, kind, field, share, confidence) "
            "values (1, $1, 'field_added', $2, 1, 1)", run, f"f{number}",
        )  # fmt: skip
    found = await source.compare(runs[0], runs[1])
    assert ([each.field for each in found.drift], found.differs) == (["f1"], True)
    assert [each.field for each in (await source.compare(runs[0], runs[2])).drift] == ["f1", "f2"]


async def test_what_another_mapping_made_of_records_that_came_back_is_not_known(source: Source) -> None:
    base = await source.read(keys("a", "b"))
    await source.read([*keys("a"), row("b", "x")], mapping="2")
    target = await source.read(keys("a", "b"), mapping="2")

    found = await source.compare(base, target)

    assert told(found) == {**NOTHING, "unchanged": "a"}
    assert found.notes == [
        "remapped, unchanged: without 1 records that had another payload in between: of these it is not known"
    ]
