"""Whatever the text and wherever the stream is cut: the same rows, and from every cursor exactly the rest."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kasparro.core.errors import KasparroError
from kasparro.ingestion.source import BatchLimits
from kasparro.ingestion.sources.csv import reader
from tests.csv_files import CsvFile, Reading

WIDE = BatchLimits()
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

limits = st.builds(BatchLimits, records=st.integers(1, 5), size_bytes=st.integers(1, 60))
cells = st.text(st.sampled_from("ab1 ,;\t|\"'\\#é€\r\n"), max_size=8)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)
)
dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quotechar": st.sampled_from("\"'"),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "escapechar": st.sampled_from([None, "\\"]),
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(table: list[list[str]], dialect: dict[str, Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, doublequote=dialect["escapechar"] is None, **dialect).writerows(table)
    return text.getvalue()


def check_every_cursor(file: CsvFile, reading: Reading) -> None:
    """Each cursor, taken through JSON, gives exactly the records behind it, with their locators, and the same end."""
    done = 0
    for batch in reading.batches:
        done += len(batch.records)
        rest = asyncio.run(file.read(cursor=json.loads(json.dumps(batch.cursor)), limits=BatchLimits(records=3)))
        assert rest.records == reading.records[done:]
        assert rest.final == reading.final


@FEW
@given(table=tables, dialect=dialects, limit=limits, encoding=st.sampled_from(["utf-8", "utf-16-le", "cp1252"]))
def test_what_a_csv_writer_wrote_is_read_back(
    folder: Path, table: list[list[str]], dialect: dict[str, Any], limit: BatchLimits, encoding: str
) -> None:
    # A LF inside a cell decides the line end where CR ends lines; detection is tested elsewhere.
    if dialect["lineterminator"] == "\r":
        table = [[cell.replace("\n", "") for cell in row] for row in table]
    else:
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    names = [f"c{number}" for number in range(len(table[0]))]
    options = {
        "columns": tuple(names),
        "header": True,
        "delimiter": dialect["delimiter"],
        "quotechar": dialect["quotechar"],
        "escapechar": dialect["escapechar"] or "",
        "encoding": encoding,
        "key": ("c0",),
    }
    file = CsvFile(folder, options).write(written([names, *table], dialect).encode(encoding))
    reading = asyncio.run(file.read(limits=limit))
    # A row of one empty cell is a blank line to some writers; csv.writer quotes it, so nothing is skipped.
    assert reading.payloads == [dict(zip(names, row, strict=True)) for row in table]
    check_every_cursor(file, reading)


@FEW
@given(
    text=st.text(st.sampled_from('ab ,"\n\r\x00\\é#'), max_size=60),
    limit=limits,
    options=st.fixed_dictionaries(
        {
            "encoding": st.sampled_from(["utf-8", "utf-16-le", "latin-1"]),
            "escapechar": st.sampled_from(["", "\\"]),
            "comment": st.sampled_from([None, "#"]),
            "key": st.sampled_from([(), ("a",)]),
            "max_record_bytes": st.sampled_from([20, 60, 1000]),
        }
    ),
)
def test_hostile_text_is_read_the_same_however_it_is_cut(
    folder: Path, text: str, limit: BatchLimits, options: dict[str, Any]
) -> None:
    fixed = {"columns": ("a", "b"), "header": False, "delimiter": ",", "quotechar": '"'}
    file = CsvFile(folder, {**fixed, **options}).write(text.encode(options["encoding"]))
    try:
        whole = asyncio.run(file.read(limits=WIDE))
    except KasparroError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_SMALL_WINDOW", 6)
        patch.setattr(reader, "_LARGE_WINDOW", 24)
        cut = asyncio.run(file.read(limits=limit))
    assert cut.records == whole.records
    check_every_cursor(file, cut)


@FEW
@given(content=st.binary(max_size=200), limit=limits)
def test_any_bytes_give_records_defects_or_a_house_error(folder: Path, content: bytes, limit: BatchLimits) -> None:
    file = CsvFile(folder).write(content)
    try:
        reading = asyncio.run(file.read(limits=limit))
    except KasparroError:
        return
    assert reading.lines == sorted(set(reading.lines))
    check_every_cursor(file, reading)


@FEW
@given(content=st.binary(max_size=80), added=st.binary(min_size=1, max_size=80))
def test_nothing_is_lost_when_any_file_grows_into_any_other(folder: Path, content: bytes, added: bytes) -> None:
    fixed = {
        "columns": ("a",),
        "header": False,
        "delimiter": ",",
        "quotechar": "",
        "encoding": "latin-1",
        "key": ("a",),
    }
    file = CsvFile(folder, fixed).write(b"." + content)
    first = asyncio.run(file.read())
    second = asyncio.run(file.append(added + b"\n").read(settled=first.final.state))
    alone = asyncio.run(file.read())
    seen = {record.locator: record for record in [*first.records, *second.records]}
    assert {record.locator: record for record in alone.records}.items() <= seen.items()
