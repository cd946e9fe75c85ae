"""What a run with nothing to do asks of the database: every statement is a journey to a server that may be far."""

from kasparro.core.database import ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from tests.scripted import ScriptedSource, job_of, row

MOST_STATEMENTS = 39
LANES = 3


async def test_run_with_nothing_to_do_asks_little(database: ConnectionOptions, asked: list[str]) -> None:
    job = job_of(ScriptedSource({"p": [row("k1", "a")]}, name="first"))
    assert (await run_source(job, Request(lanes=LANES), Conditions(database))).error is None
    asked.clear()
    idle = job_of(ScriptedSource({"p": []}, name="first"))
    outcome = await run_source(idle, Request(lanes=LANES), Conditions(database))
    assert (outcome.state, outcome.row and outcome.row["fetched"]) == ("succeeded", 0)
    assert len(asked) <= MOST_STATEMENTS, (len(asked), asked)
    assert not [text for text in asked if "typeinfo_tree" in text], (
        "the driver looked up a type: name one that it knows"
    )
