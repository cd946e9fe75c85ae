"""A file whose last line is half written loses no record and leaves no reject, however many runs look at it."""

import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import build_job
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.configuration import parse_configuration

HEAD = b"id,name,n\n1,a,10\n2,b,20\n"
ALL = {"1": ("a", "10"), "2": ("b", "20"), "3": ("c", "345"), "4": ("d", "40")}


@dataclass
class Growing:
    """One file, `log.csv` or `log.csv.gz`, and the source `f` over it."""

    options: ConnectionOptions
    connection: Connection
    path: Path
    key: str
    seconds: int = 1_700_000_000

    def append(self, text: bytes) -> None:
        """As one more gzip member, where the file is one. Each writing gets a time of its own."""
        self.seconds += 1
        with self.path.open("ab") as file:
            file.write(gzip.compress(text, mtime=0) if self.path.suffix == ".gz" else text)
        os.utime(self.path, (self.seconds, self.seconds))

    async def run(self, *, full_refresh: bool = False) -> Mapping[str, Any]:
        text = "sources: [{name: f, type: csv, path: '" + self.path.name + "', " + self.key
        config = parse_configuration(text + "map: {title: name, value: n}}]", {}).sources[0]
        job = build_job(config, self.path.parent, None)
        outcome = await run_source(job, Request(lanes=2, full_refresh=full_refresh), Conditions(self.options))
        assert outcome.error is None, outcome.error
        assert outcome.row is not None
        return outcome.row

    async def records(self) -> dict[str, tuple[str, str]]:
        rows = await self.connection.fetch("select record_key, title, value::text from unified_data order by 1")
        return {row["record_key"]: (row["title"], row["value"]) for row in rows}

    async def rejects(self) -> list[tuple[str, str, str, str | None]]:
        rows = await self.connection.fetch("select code, locator, state, resolution from rejected_records order by id")
        return [tuple(row) for row in rows]


@pytest.fixture(params=["log.csv", "log.csv.gz"])
def file(
    request: pytest.FixtureRequest, database: ConnectionOptions, connection: Connection, tmp_path: Path
) -> Growing:
    return Growing(database, connection, tmp_path / request.param, "key: id, ")


async def test_a_half_row_that_waits_long_is_a_reject_until_its_rest_comes(file: Growing) -> None:
    file.append(HEAD + b"3,c")
    assert (await file.run())["rejected"] == 0
    assert (await file.run())["rejected"] == 1
    where = f"{file.path.name}:4"
    assert await file.rejects() == [("unfinished_row", where, "open", None)]
    assert (await file.run())["fetched"] == 0
    file.append(b",345\n4,d,40\n")
    row = await file.run()
    assert (row["fetched"], row["inserted"], row["rejected"]) == (2, 2, 0)
    assert await file.records() == ALL
    assert await file.rejects() == [("unfinished_row", where, "resolved", "reread")]


async def test_the_rest_of_a_half_row_heals_also_without_a_line_end(file: Growing) -> None:
    file.append(HEAD + b"3,c")
    await file.run()
    await file.run()
    file.append(b",345")
    assert (await file.run())["inserted"] == 1
    assert [state for _, _, state, _ in await file.rejects()] == ["resolved"]
    file.append(b"\n4,d,40\n")
    row = await file.run()
    assert (row["fetched"], row["unchanged"], row["inserted"]) == (2, 1, 1)
    assert await file.records() == ALL


@pytest.mark.parametrize(("half", "rest"), [(b'3,"x', b'\ny\nz",345\n4,d,40\n'), (b'3,"x\ny', b'\nz",345\n4,d,40\n')])
async def test_a_half_quoted_row_is_read_whole_when_its_quote_is_closed(
    file: Growing, half: bytes, rest: bytes
) -> None:
    file.append(HEAD + half)
    await file.run()
    await file.run()
    assert {state for _, _, state, _ in await file.rejects()} == {"open"}
    file.append(rest)
    assert (await file.run())["inserted"] == 2
    assert await file.records() == {**ALL, "3": ("x\ny\nz", "345")}
    assert {state for _, _, state, _ in await file.rejects()} == {"resolved"}


async def test_a_reject_stays_open_while_what_is_behind_it_grows(file: Growing) -> None:
    file.append(HEAD + b'3,"c\n4,d,40\n')
    await file.run()
    file.append(b"5,e,50\n")
    await file.run()
    assert await file.rejects() == [("unclosed_quote", f"{file.path.name}:4", "open", None)]
    assert set(await file.records()) == {"1", "2", "4", "5"}


async def test_a_half_row_that_stays_broken_when_it_is_finished_is_one_open_reject(file: Growing) -> None:
    file.append(HEAD + b"3,c")
    await file.run()
    await file.run()
    file.append(b"\n4,d,40\n")
    assert (await file.run())["rejected"] == 1
    where = f"{file.path.name}:4"
    assert await file.rejects() == [
        ("unfinished_row", where, "resolved", "reread"),
        ("ragged_row", where, "open", None),
    ]


async def test_full_refresh_settles_it_too(file: Growing) -> None:
    file.append(HEAD + b"3,c")
    await file.run()
    await file.run()
    file.append(b",345\n4,d,40\n")
    await file.run(full_refresh=True)
    assert await file.records() == ALL
    assert [state for _, _, state, _ in await file.rejects()] == ["resolved"]


@pytest.mark.parametrize("key", ["key: n, ", ""], ids=["key in the last column", "row hash"])
async def test_a_row_without_a_sure_key_is_loaded_in_the_end_and_read_again(file: Growing, key: str) -> None:
    file.key = key
    file.append(HEAD + b"3,c,3")
    assert (await file.run())["inserted"] == 2
    assert (await file.run())["inserted"] == 1, "a file that is complete without a line end misses no row"
    assert (await file.run())["fetched"] == 0
    file.append(b"\n4,d,40\n")
    row = await file.run()
    assert (row["fetched"], row["unchanged"], row["inserted"], row["rejected"]) == (2, 1, 1, 0)
    assert sorted((await file.records()).values()) == [("a", "10"), ("b", "20"), ("c", "3"), ("d", "40")]


@pytest.mark.parametrize("key", ["key: n, ", ""], ids=["key in the last column", "row hash"])
async def test_a_cut_key_that_goes_on_within_a_pass_is_never_loaded(file: Growing, key: str) -> None:
    file.key = key
    file.append(HEAD + b"3,c,1")
    await file.run()
    file.append(b"23\n")
    await file.run()
    assert sorted((await file.records()).values()) == [("a", "10"), ("b", "20"), ("c", "123")]


async def test_a_cut_key_that_waited_too_long_costs_no_other_record_for_good(file: Growing) -> None:
    file.key = "key: n, "
    file.append(HEAD + b"3,c,10")
    await file.run()
    await file.run()
    file.append(b"5\n")
    await file.run()
    assert sorted((await file.records()).values()) == [("b", "20"), ("c", "10"), ("c", "105")], "the limit"
    await file.run(full_refresh=True)
    assert sorted((await file.records()).values()) == [("a", "10"), ("b", "20"), ("c", "105")]
