"""Drift over 336,776 real flights: nothing is found where nothing has changed, and a column that goes is held back."""

from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import build_job
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.schemas.configuration import parse_configuration
from tests.long.flights import CONFIGURATION, write_flights

HELD_BACK = 50_000


@pytest.fixture
async def run(tmp_path: Path, database: ConnectionOptions) -> Any:
    write_flights(tmp_path)
    config = parse_configuration(CONFIGURATION, {}).sources[0]

    async def once() -> RunOutcome:
        return await run_source(build_job(config, tmp_path), Request(full_refresh=True), Conditions(database))

    return once


async def test_flights_read_twice_give_no_finding_and_a_renamed_column_is_held_back(
    run: Any, tmp_path: Path, connection: Connection
) -> None:
    assert [(await run()).state for _ in range(2)] == ["succeeded", "succeeded"]
    assert await connection.fetchval("select count(*) from schema_drift_events") == 0
    file = tmp_path / "flights.csv"
    head, *rows = file.read_bytes().splitlines(keepends=True)[: HELD_BACK + 1]
    file.write_bytes(head.replace(b",distance,", b",distance_mi,") + b"".join(rows))
    outcome = await run()
    assert outcome.row is not None
    assert (outcome.state, outcome.row["rejected"]) == ("partial", HELD_BACK)
    assert await connection.fetchval("select count(*) from unified_data where value is null") == 0
    found = await connection.fetch("select kind, field, policy from schema_drift_events")
    assert [tuple(row) for row in found] == [("field_renamed", "distance -> distance_mi", "quarantine")]
