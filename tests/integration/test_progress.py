"""The figures that a command shows while it loads, held against the rows of its runs."""

import pytest

from kasparro.cli.frame import Context
from kasparro.cli.loading import _run_one
from kasparro.cli.output import Output
from kasparro.core.database import ConnectionOptions
from kasparro.core.errors import ConnectionLostError
from kasparro.core.settings import load_settings
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions
from tests.scripted import ScriptedSource, job_of, row


async def test_after_a_lost_connection_the_figures_are_those_of_the_run_that_went_on(
    database: ConnectionOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = [ConnectionLostError("the server is gone")]

    def lose(_partition: str, position: int) -> None:
        if position == 6 and losses:
            raise losses.pop()

    rows = [{**row(f"k{n}", "a"), "bad": n in {1, 8}} for n in range(10)]
    job = job_of(ScriptedSource({"p": rows}, before=lose))
    outcome = await _run_one(Context(load_settings({}), Output()), job, Request(), Conditions(database), "scripted")

    assert outcome.row is not None
    assert (outcome.state, outcome.row["fetched"], outcome.row["rejected"]) == ("partial", 4, 1)
    assert "scripted: 4 records, done in" in capsys.readouterr().err
