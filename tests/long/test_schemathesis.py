"""Schemathesis, with all its checks and phases, against the real server and a scheduler over 336,776 flights."""

from pathlib import Path

import pytest

from kasparro.core.database import ConnectionOptions
from tests.long.flights import write_flights
from tests.schemathesis_run import ask_everything, service

pytestmark = pytest.mark.long


async def test_schemathesis_finds_nothing(tmp_path: Path, port: int, database: ConnectionOptions) -> None:
    write_flights(tmp_path)
    async with service(database, tmp_path, port) as (url, key):
        for seed in (20261122, 20261123):
            ended = await ask_everything(url, key, tmp_path, seed=seed, max_examples=100)
            print(ended.stdout)
            assert ended.exit_code == 0, ended.stdout + ended.stderr
            assert "No issues found" in ended.stdout
