"""Broken records of a CSV file are rejected with their line; their neighbours load as if nothing had happened."""

import base64
from pathlib import Path

import pytest

from kasparro.core.errors import SourceError
from kasparro.ingestion.source import BatchLimits
from tests.csv_files import CsvFile

FIXED = {"encoding": "utf-8", "header": True, "delimiter": ",", "quotechar": '"', "escapechar": ""}


def unstorable(raw: bytes) -> dict[str, str]:
    return {"_unstorable": base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("broken", "code", "payload"),
    [
        (b"1\n", "ragged_row", {"_cells": ["1"]}),
        (b"1,2,3\n", "ragged_row", {"_cells": ["1", "2", "3"]}),
        (b"1,\x002\n", "nul_byte", unstorable(b"1,\x002\n")),
        (b"1,caf\xe9\n", "bad_encoding", unstorable(b"1,caf\xe9\n")),
        (b'1,"a"b\n', "stray_quote", {"_line": '1,"a"b'}),
        (b'1,2"\n', "stray_quote", {"_line": '1,2"'}),
        (b'1,"two\nlines\x00"\n', "nul_byte", unstorable(b'1,"two\nlines\x00"\n')),
        (b'"1,2\n', "stray_quote", {"_line": '"1,2'}),
    ],
)
async def test_a_broken_row_is_rejected_alone(
    tmp_path: Path, broken: bytes, code: str, payload: dict[str, str]
) -> None:
    file = CsvFile(tmp_path, FIXED).write(b'a,b\nx,"1"\n' + broken + b'y,"2"\n')
    reading = await file.read()
    after = 4 + broken.count(b"\n") - 1
    assert reading.codes == {3: code}
    assert reading.payloads == [{"a": "x", "b": "1"}, payload, {"a": "y", "b": "2"}]
    assert reading.lines == [2, 3, after]
    assert "rows.csv:3" in reading.records[1].defects[0].message


async def test_a_quote_never_closed_costs_one_line(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, FIXED).write(b'a,b\nx,"1\ny,2\nz,3\n')
    reading = await file.read()
    assert reading.codes == {2: "unclosed_quote"}
    assert reading.payloads == [{"_line": 'x,"1'}, {"a": "y", "b": "2"}, {"a": "z", "b": "3"}]
    assert reading.final.state["line"] == 2, "the next pass looks at the open record again if the file has grown"


async def test_a_record_over_the_limit_costs_its_first_line(tmp_path: Path) -> None:
    options = {**FIXED, "max_record_bytes": 100}
    rows = b"".join(b"%d,2\n" % number for number in range(100))
    reading = await CsvFile(tmp_path, options).write(b'a,b\nx,"1\n' + rows).read()
    assert reading.codes == {2: "record_too_large"}
    assert reading.lines == list(range(2, 103))
    assert reading.payloads[0] == {"_line": 'x,"1'}
    assert reading.payloads[1] == {"a": "0", "b": "2"}


@pytest.mark.parametrize("block", [7, 8 * 1024 * 1024])
async def test_a_line_over_the_limit_is_left_out_in_pieces(tmp_path: Path, block: int) -> None:
    options = {**FIXED, "max_record_bytes": 50}
    file = CsvFile(tmp_path, options).write(b"a,b\n1,2\n" + b"x" * 5000 + b",1\n3,4\n")
    reading = await file.read(limits=BatchLimits(size_bytes=block))
    assert reading.codes == {3: "record_too_large"}
    assert reading.payloads == [{"a": "1", "b": "2"}, {"_line": "x" * 50}, {"a": "3", "b": "4"}]
    assert reading.lines == [2, 3, 4]


async def test_quotes_are_text_in_a_file_that_does_not_quote(tmp_path: Path) -> None:
    reading = await CsvFile(tmp_path).write(b'name\tsize\npipe\t5"\nmonitor\t24" wide\n').read()
    assert reading.payloads == [{"name": "pipe", "size": '5"'}, {"name": "monitor", "size": '24" wide'}]


async def test_blank_lines_and_comments_are_no_records(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, {"comment": "#"}).write(b'# made by hand\n\na,b\n\r\n1,2\n# "one\n\n3,4\n')
    reading = await file.read()
    assert reading.payloads == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert reading.lines == [5, 8]


async def test_a_comment_may_be_longer_than_a_record(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, {**FIXED, "comment": "#", "max_record_bytes": 50})
    file.write(b"a,b\n#" + b"x" * 500 + b"\n1,2\n")
    reading = await file.read(limits=BatchLimits(size_bytes=20))
    assert (reading.payloads, reading.lines) == ([{"a": "1", "b": "2"}], [3])


async def test_escaped_line_ends_belong_to_the_cell(tmp_path: Path) -> None:
    options = {**FIXED, "escapechar": "\\"}
    reading = await CsvFile(tmp_path, options).write(b"a,b\n1\\,5,x\\\ny\n2,z\n").read()
    assert (reading.payloads, reading.lines) == ([{"a": "1,5", "b": "x\ny"}, {"a": "2", "b": "z"}], [2, 4])


async def test_a_cell_longer_than_the_csv_modules_limit_is_read(tmp_path: Path) -> None:
    reading = await CsvFile(tmp_path).write(b"a,b\n1," + b"x" * 200_000 + b"\n").read()
    assert reading.payloads == [{"a": "1", "b": "x" * 200_000}]


async def test_an_empty_cell_is_an_empty_text(tmp_path: Path) -> None:
    assert (await CsvFile(tmp_path).write(b'a,b\n,""\n').read()).payloads == [{"a": "", "b": ""}]


async def test_a_line_end_inside_quotes_stays_as_it_is(tmp_path: Path) -> None:
    reading = await CsvFile(tmp_path).write(b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n').read()
    assert reading.payloads == [{"a": "1", "b": "x\r\ny"}, {"a": "2", "b": "z"}]
    assert reading.lines == [2, 4]


async def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    file = CsvFile(tmp_path).write(b"id,name,id\n1,x,2\n")
    with pytest.raises(SourceError, match=r"rows\.csv:1: the header has column 'id' twice"):
        await file.read()


async def test_configured_columns_stand_in_for_a_bad_header(tmp_path: Path) -> None:
    options = {"columns": ("id", "name", "other"), "header": True}
    reading = await CsvFile(tmp_path, options).write(b"id,name,id\n1,x,2\n").read()
    assert reading.payloads == [{"id": "1", "name": "x", "other": "2"}]


async def test_a_header_that_fits_no_row_is_refused(tmp_path: Path) -> None:
    file = CsvFile(tmp_path).write(b"id,name\n1,x,7\n2,y,8\n3,z,9\n")
    with pytest.raises(SourceError, match=r"rows\.csv:1: the header names 2 columns, but the rows below have 3 cells"):
        await file.read()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"a,b", b"\xef\xbb\xbf"])
async def test_a_file_without_rows_is_a_full_pass(tmp_path: Path, content: bytes) -> None:
    reading = await CsvFile(tmp_path).write(content).read()
    assert (reading.records, reading.final.coverage) == ([], "full")
