"""Runs that had nothing to read, side by side with others: they stand on what was read before them."""

from collections.abc import AsyncIterator

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import Batch, Coverage, FinalBatch, Start
from kasparro.services.reject_lists import RejectFilter
from tests.integration.test_comparing_runs import NOTHING, Source, keys, told
from tests.integration.test_requeue import mended
from tests.scripted import ScriptedSource, job_of, row


class Idle(ScriptedSource):
    """It is as it was (`none`), or has nothing new (`window`)."""

    def __init__(self, coverage: Coverage) -> None:
        super().__init__({"p": []})
        self.coverage: Coverage = coverage

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        assert partition == "p"
        assert start.cursor is None
        yield FinalBatch({}, self.coverage)


@pytest.fixture
def source(database: ConnectionOptions, connection: Connection) -> Source:
    return Source(database, connection)


async def idle(source: Source, *, coverage: Coverage = "none", mapping: str = "1") -> int:
    outcome = await run_source(job_of(Idle(coverage), mapping=mapping), Request(), Conditions(source.options))
    assert outcome.error is None
    assert outcome.row is not None
    return outcome.row["id"]


async def requeue(source: Source) -> int:
    """Load every reject, under the second mapping."""
    job, chosen = mended(ScriptedSource({"p": []})), RejectFilter()
    request = requeue_request(chosen, Request())
    outcome = await run_source(requeue_job(job, chosen, source.options), request, Conditions(source.options))
    assert outcome.error is None
    assert outcome.row is not None
    return outcome.row["id"]


def stands(run: int, read: int) -> str:
    return f"run {run} found nothing to read: compared is what run {read} read"


async def test_a_run_that_found_the_source_as_it_was_stands_on_the_reading_before(source: Source) -> None:
    base = await source.read(keys("a", "b", "c"))
    edited = await source.read([*keys("a"), row("b", "x"), row("d")])
    await idle(source)
    last = await idle(source)

    found = await source.compare(base, last)

    assert told(found) == told(await source.compare(base, edited)) == {
        **NOTHING, "new": "d", "changed": "b", "gone": "c", "unchanged": "a",
    }  # fmt: skip
    assert found.verdict == "source changed: 1 new, 1 changed, 1 gone"
    assert found.differs
    assert found.notes == [stands(last, edited)]
    assert found.target.coverage == {"p": "none"}


async def test_nothing_changed_between_a_reading_and_the_runs_that_stand_on_it(source: Source) -> None:
    base = await source.read(keys("a", "b"))
    first, second = await idle(source), await idle(source)
    for pair in ((base, first), (first, second)):
        found = await source.compare(*pair)
        assert told(found) == {**NOTHING, "unchanged": "a b"}
        assert (found.verdict, found.differs) == ("nothing changed", False)

    later = await source.read([*keys("a"), row("c")])
    found = await source.compare(second, later)
    assert told(found) == {**NOTHING, "new": "c", "gone": "b", "unchanged": "a"}
    assert found.notes == [stands(second, base)]


async def test_a_source_that_was_as_it_was_lacks_nothing_that_was_read_in_part(source: Source) -> None:
    """A feed is never read completely."""
    await source.read(keys("a", "b"))
    base = await source.read(keys("b", "c"))
    await source.connection.execute("""update etl_runs set coverage = '{"p": "window"}'""")
    found = await source.compare(base, await idle(source))
    assert told(found) == {**NOTHING, "unchanged": "b c"}
    assert (found.verdict, found.differs) == ("nothing changed", False)


async def test_where_only_what_is_new_is_asked_for_what_is_gone_is_not_known(source: Source) -> None:
    base = await source.read(keys("a"))
    edited = await source.read(keys("a", "b"))
    asked = await idle(source, coverage="window")
    last = await idle(source)

    for run in (asked, last):
        found = await source.compare(base, run)
        assert found.verdict == "source changed: 1 new (which are gone is not known)"
        assert found.notes[-1] == stands(run, edited)
    found = await source.compare(edited, asked)
    assert found.causes[0].changed is None
    assert not found.differs
    assert found.verdict == (
        "nothing is known to have changed: what both have read has the payloads that it had "
        "(which are gone is not known)"
    )


async def test_what_a_requeue_has_loaded_since_is_there_too(source: Source) -> None:
    base = await source.read([row("a"), row("b", "x", bad=True), row("c")])
    loaded = await requeue(source)
    last = await idle(source, mapping="2")

    found = await source.compare(base, last)

    assert told(found) == {**NOTHING, "new": "b", "unchanged": "a c"}
    assert found.verdict == "source and mapping changed: 1 new"
    assert found.notes[0] == f"{stands(last, base)}, with what run {loaded} loaded from rejects"


async def test_digests_that_differ_are_a_change_where_records_do_not_tell(
    source: Source, connection: Connection
) -> None:
    """A window that names no record that differs."""
    base = await source.read(keys("a"))
    await source.read(keys("a", "b"))
    target = await source.read(keys("a"))
    await connection.execute("""update etl_runs set coverage = '{"p": "window"}' where id = $1""", target)

    found = await source.compare(base, target)

    assert told(found)["new"] == ""
    assert found.causes[0].changed
    assert found.differs
    assert found.verdict == (
        "source changed: its live records are others, as their digests say: "
        "what both have read has the payloads that it had (which are gone is not known)"
    )

    await connection.execute("update etl_runs set digest = null where id = $1", base)
    found = await source.compare(base, target)
    assert (found.causes[0].changed, found.differs) == (None, False)
