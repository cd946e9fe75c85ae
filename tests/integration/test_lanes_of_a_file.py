"""A CSV file gives the same records, counters and digest for any number of lanes, as columns and row by row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import build_job
from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.run import Conditions, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import AnySourceConfig, parse_configuration
from kasparro.services import digest

ROWS = 400
CONFIGURATION = """
sources:
  - {name: NAME, type: csv, path: rows.csv, key: id, map: {title: name, value: price, occurred_at: at, tags: [name],
     attributes: '*'}}
"""
COUNTERS = ("fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "raw_written")


def write_rows(folder: Path, price: Callable[[int], str]) -> None:
    """Plain rows, and such as only Python's csv or Pydantic can judge; every fortieth key comes again at the end."""
    lines = [f"k{n},name {n},{price(n)},2026-01-02T03:04:{n % 60:02d}Z,{n % 3}" for n in range(ROWS)]
    lines += [f"k{n},again,7.50,2026-01-02T03:04:05Z,9" for n in range(0, ROWS, 40)]
    lines[50] = '"k50","a ""quoted"" name",1E+40,,"two\nlines"'
    lines[90] = "k90,name,no number,2026-01-02T03:04:05Z,1"
    lines[91] = "k91,ragged"
    lines[92] = "k92,name,123456789012345678901234567890123456789.5,2026-01-02T03:04:05+02:00,1"
    (folder / "rows.csv").write_text("id,name,price,at,kind\n" + "\n".join(lines) + "\n", encoding="utf-8")


class OneByOne:
    """Each record judged alone."""

    def __init__(self, config: AnySourceConfig) -> None:
        self.transform = build_transformer(config).judge


async def run(options: ConnectionOptions, folder: Path, name: str, lanes: int, *, columns: bool) -> tuple[int, ...]:
    config = parse_configuration(CONFIGURATION.replace("NAME", name), {}).sources[0]
    job = build_job(config, folder, None)
    conditions = Conditions(options, limits=BatchLimits(records=70))
    request = Request(lanes=lanes, full_refresh=True)
    if not columns:
        job = replace(job, transformer=OneByOne(config))
    outcome = await run_source(job, request, conditions)
    assert outcome.error is None, outcome.error
    assert outcome.row is not None
    return tuple(outcome.row[counter] for counter in COUNTERS)


@pytest.mark.parametrize("columns", [True, False], ids=["columns", "one by one"])
async def test_every_number_of_lanes_comes_to_the_same(
    database: ConnectionOptions, connection: Connection, tmp_path: Path, columns: bool
) -> None:
    passes = [lambda n: f"{n}.50", lambda n: f"{n}.{'75' if n % 10 == 0 else '50'}"]
    counts: set[tuple[tuple[int, ...], ...]] = set()
    digests: set[str] = set()
    for lanes in (1, 2, 3, 7):
        counted: list[tuple[int, ...]] = []
        for price in passes:
            write_rows(tmp_path, price)
            counted.append(await run(database, tmp_path, f"lanes{lanes}", lanes, columns=columns))
        counts.add(tuple(counted))
        source_id = await connection.fetchval("select id from sources where name = $1", f"lanes{lanes}")
        async with connection.transaction():
            assert await digest.now(connection, source_id) == await digest.recompute(connection, source_id)
        digests.add(digest.as_text(await digest.now(connection, source_id)))
    assert digests == {"6b6fd6c637981ed32e8865c023f5f649"}, "the same for columns and one by one"
    assert counts == {((410, 398, 0, 0, 10, 2, 410), (410, 0, 38, 360, 10, 2, 48))}
