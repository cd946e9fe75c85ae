"""The Pollock benchmark's polluted files: each is one clean table with one thing wrong in it.

`KASPARRO_CORPORA` names the folder with `csv/pollock` in it. The table is shown by
`python -m pytest -s -o addopts= tests/long/test_pollock.py`. Expected cells are the benchmark's own (`clean/`), read by
Python's csv module.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.errors import KasparroError, SourceError
from tests.csv_files import CsvFile, Reading

pytestmark = pytest.mark.long

POLLUTED_ROW = re.compile(r"row_(?:extra_quote|(?:more|less)_sep_row|field_delimiter_)(\d+)")
LOADED = "all rows right"
REJECTED = "polluted row rejected: "
REFUSED = "file refused, naming line 1"


@dataclass(frozen=True)
class Polluted:
    """One polluted file. `line` is the polluted row's (1: the header), None where the whole file is affected."""

    path: Path
    clean: list[list[str]]
    line: int | None

    @property
    def kind(self) -> str:
        where = ", in the header" if self.line == 1 else ""
        return re.sub(r"_?\d+(x[0-9A-F]+)?(_col)?\d*", "", self.path.stem) + where if self.line else self.path.stem


@pytest.fixture(scope="module")
def corpora() -> Path:
    folder = os.environ.get("KASPARRO_CORPORA")
    if folder is None:
        pytest.skip("KASPARRO_CORPORA is not set: it names the folder with csv/pollock in it")
    if not (Path(folder) / "csv" / "pollock").is_dir():
        pytest.fail(f"KASPARRO_CORPORA={folder}: there is no folder csv/pollock in it")
    return Path(folder) / "csv"


def polluted_files(corpora: Path) -> Iterator[Polluted]:
    folder = corpora / "pollock" / "polluted_files"
    for path in sorted((folder / "csv").iterdir()):
        with (folder / "clean" / path.name).open(newline="", encoding="utf-8") as file:
            clean = list(csv.reader(file))
        found = POLLUTED_ROW.match(path.stem)
        yield Polluted(path, clean, int(found[1]) + 1 if found else None)


async def read(path: Path, **options: Any) -> Reading:
    return await CsvFile(path.parent, options, path.name).read()


def wrong_rows(polluted: Polluted, reading: Reading, names: Sequence[str]) -> dict[int, str]:
    """Line to fault, for every row that is missing, rejected or not exactly the clean cells under these names."""
    found = dict(zip(reading.lines, reading.records, strict=True))
    wrong: dict[int, str] = {}
    for line, cells in enumerate(polluted.clean[1:], start=2):
        record = found.pop(line, None)
        if record is None:
            wrong[line] = "missing"
        elif record.defects:
            wrong[line] = record.defects[0].code
        elif list(record.payload.values()) != cells:
            wrong[line] = "wrong cells"
        elif list(record.payload) != list(names):
            wrong[line] = "wrong names"
    return wrong | dict.fromkeys(found, "extra")


async def outcome(polluted: Polluted) -> str:
    try:
        reading = await read(polluted.path)
    except SourceError as error:
        return REFUSED if f"{polluted.path.name}:1:" in error.message else f"refused: {error.message}"
    wrong = wrong_rows(polluted, reading, polluted.clean[0])
    if not wrong:
        return LOADED
    if polluted.line is not None and set(wrong) == {polluted.line}:
        return REJECTED + wrong[polluted.line]
    return f"{len(wrong)} rows: {', '.join(sorted(set(wrong.values())))}"


async def rough_outcome(path: Path) -> str:
    try:
        reading = await read(path)
    except KasparroError as error:
        return "refused" if path.name in error.message else "refused without a name"
    return "read with rejects" if reading.codes else "read without a reject"


async def test_one_polluted_row_harms_no_other(corpora: Path) -> None:
    table: Counter[tuple[str, str]] = Counter()
    bad: list[str] = []
    for polluted in polluted_files(corpora):
        result = await outcome(polluted)
        table[polluted.kind, result] += 1
        rejected = result.startswith(REJECTED) and not any(word in result for word in ("wrong", "missing"))
        header_refused = polluted.line == 1 and result == REFUSED
        if polluted.line is not None and not (result == LOADED or rejected or header_refused):
            bad.append(f"{polluted.path.name}: {result}")
    print(f"\n{'kind':44} {'outcome':44} files")
    for (kind, result), count in sorted(table.items()):
        print(f"{kind:44} {result:44} {count:5}")
    assert table.total() == 815
    assert bad == []


async def test_with_configured_columns_a_polluted_header_harms_no_row(corpora: Path) -> None:
    polluted_headers = [polluted for polluted in polluted_files(corpora) if polluted.line == 1]
    assert polluted_headers
    for polluted in polluted_headers:
        columns = tuple(f"c{number}" for number in range(len(polluted.clean[0])))
        reading = await read(polluted.path, columns=columns, header=True)
        assert wrong_rows(polluted, reading, columns) == {}, polluted.path.name


@pytest.mark.parametrize("folder", ["w3c-csvw", "frictionless", "csvkit", "clevercsv", "pollock/survey_sample"])
async def test_any_file_gives_records_rejects_or_a_house_error(corpora: Path, folder: str) -> None:
    outcomes: Counter[str] = Counter()
    for path in sorted(path for path in (corpora / folder).rglob("*") if path.is_file()):
        outcomes[await rough_outcome(path)] += 1
    print(f"\n{folder}: {dict(outcomes)}")
    assert outcomes
    assert "refused without a name" not in outcomes
