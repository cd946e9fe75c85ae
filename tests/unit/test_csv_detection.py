"""How a file is written is found on its head, shown, and overridden by what is configured."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.errors import ConfigurationError, SourceError
from kasparro.ingestion.sources.csv import CsvOptions, Detected, detect
from tests.csv_files import CsvFile


def detected(content: bytes, **options: Any) -> Detected:
    found = detect(content, CsvOptions("rows", "rows.csv", Path(), **options), "rows.csv", complete=True)
    assert found is not None
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_rows_agree_on(delimiter: str) -> None:
    rows = [["name", "price", "note"], ["a b", "1.5", "x: y"], ['"c, d; e|f"', "2,5" if delimiter != "," else "2", ""]]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    assert detected(text.encode()).dialect.delimiter == delimiter


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        (b"a:b\n1:2\n3:4\n", ":"),
        (b"x y\n1 2\n3.5 4\n", " "),
        (b"title\nhello world\ngood day\n", ","),
        (b"name;share\na;1,5\nb;2,5\n", ";"),
        (b"time,value\n10:30:00,1\n10:31:00,2\n", ","),
    ],
)
def test_spaces_and_colons_count_only_between_values(content: bytes, delimiter: str) -> None:
    assert detected(content).dialect.delimiter == delimiter


@pytest.mark.parametrize(
    ("codec", "mark", "name"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8"),
        ("utf-16-le", b"\xff\xfe", "utf-16-le"),
        ("utf-16-be", b"\xfe\xff", "utf-16-be"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32-le"),
        ("utf-32-be", b"\x00\x00\xfe\xff", "utf-32-be"),
    ],
)
async def test_encodings_are_found(tmp_path: Path, codec: str, mark: bytes, name: str) -> None:
    file = CsvFile(tmp_path).write(
        mark + "city,ort\nZürich,Ċ,\nKöln,ਊ\nBonn,\u0a0d\n".replace(",\n", "\n").encode(codec)
    )
    reading = await file.read()
    shown = await file.source.detected("rows.csv")
    assert shown is not None
    assert shown.dialect.encoding == name
    assert reading.payloads == [
        {"city": "Zürich", "ort": "Ċ"},
        {"city": "Köln", "ort": "ਊ"},
        {"city": "Bonn", "ort": "\u0a0d"},
    ]
    assert reading.lines == [2, 3, 4]


def test_what_is_not_utf8_is_guessed_and_said() -> None:
    text = "ville,région\nMâcon,Saône-et-Loire\nBéziers,Hérault\nNîmes,Gard – sud\n"
    found = detected(text.encode("cp1252"))
    assert found.names == ("ville", "région")
    assert "not valid UTF-8" in str(found)


def test_one_broken_byte_does_not_change_the_encoding() -> None:
    text = "ville\n" + "Besançon Orléans Nîmes\n" * 3
    assert detected(text.encode() + b"caf\xe9\n").dialect.encoding == "utf-8"
    assert detected(b"a,b\n1,x\n2,\xff\n").dialect.encoding == "utf-8"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_line_ends_are_found(tmp_path: Path, end: str) -> None:
    content = end.join(["a,b", "1,2", '"x","y"', ""]).encode()
    reading = await CsvFile(tmp_path).write(content).read()
    assert reading.payloads == [{"a": "1", "b": "2"}, {"a": "x", "b": "y"}]
    assert reading.lines == [2, 3]
    assert detected(content).line_end == {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[end]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"id,name\n1,x\n2,y\n", True),
        (b"1,x\n2,y\n3,z\n", False),
        (b"a,b\nc,d\n", True),
        (b"2024-01-01,5\n2024-01-02,6\n", False),
        (b"country,2010,2011\nFrance,1.5,2.5\nSpain,3.5,4.5\n", True),
    ],
)
def test_a_header_differs_in_kind_from_what_is_below(content: bytes, header: bool) -> None:
    assert detected(content).header is header


def test_columns_without_a_header_are_numbered() -> None:
    assert detected(b"1,x\n2,y\n").names == ("column_1", "column_2")


def test_empty_names_are_numbered_or_left_out_as_the_rows_need() -> None:
    assert detected(b"a,,c\n1,2,3\n").names == ("a", "column_2", "c")
    assert detected(b"a,,c\n1,2\n3,4\n5,6\n").names == ("a", "c")
    with pytest.raises(SourceError, match=r"rows\.csv:1: the header names 2 columns, but the rows below have 3 cells"):
        detected(b"a,bc\n1,2,\n3,4,\n5,6,\n")


def test_a_stray_quote_in_the_header_stays_in_the_name() -> None:
    assert detected(b'a,"b,"c"\n1,"2","3"\n').names == ("a", '"b', "c")


def test_single_quotes_and_backslashes_are_found() -> None:
    assert detected(b"a,b\n'1,5','x'\n'2,5','y'\n").dialect.quotechar == "'"
    assert detected(b'a,b\n1,"say \\"hi\\", you"\n2,"x \\"y\\""\n').dialect.escapechar == "\\"
    assert detected(b"a,b\n1,C:\\dir\n").dialect.escapechar is None


async def test_spaces_before_quotes_are_skipped_where_a_file_has_them(tmp_path: Path) -> None:
    file = CsvFile(tmp_path).write(b'"month", "1958", "note"\n"JAN",  340, "a, b"\n"FEB",  318, "c"\n')
    reading = await file.read()
    assert reading.payloads == [
        {"month": "JAN", "1958": "340", "note": "a, b"},
        {"month": "FEB", "1958": "318", "note": "c"},
    ]
    assert "spaces after delimiters skipped" in str(await file.source.detected("rows.csv"))
    assert (await CsvFile(tmp_path).write(b"a,b\n1, x\n").read()).payloads == [{"a": "1", "b": " x"}]


def test_what_is_configured_is_taken() -> None:
    found = detected(
        b"junk\na;b\n1;2\n", skip_rows=1, delimiter=",", quotechar="", header=False, encoding="latin-1", columns=("x",)
    )
    assert (found.dialect.delimiter, found.dialect.quotechar, found.dialect.encoding) == (",", None, "iso8859-1")
    assert (found.names, found.header, found.body_line) == (("x",), False, 2)


def test_it_is_shown_in_one_line() -> None:
    assert str(detected(b"id;name\r\n1;x\r\n")) == (
        "encoding utf-8 (plain ASCII so far), delimiter ';', quotes '\"', line ends CRLF, "
        "header (its cells differ in kind from those below), 2 columns"
    )


def test_unusable_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="delimiter: must be one character"):
        CsvOptions("rows", "rows.csv", Path(), delimiter="||")
    with pytest.raises(SourceError, match="encoding: 'klingon' is unknown"):
        detected(b"a\n", encoding="klingon")
    with pytest.raises(SourceError, match="cannot be read as a stream"):
        detected(b"a\n", encoding="utf-7")


async def test_a_first_line_without_end_is_refused(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, {"max_record_bytes": 1000}).write(b"x" * 100_000)
    with pytest.raises(SourceError, match=r"rows\.csv:1: the first line is longer than 1,000 bytes"):
        await file.read()


async def test_gzip_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    members = gzip.compress(b"a,b\n1,2\n3,") + gzip.compress(b"4\n") + b"\x00" * 5
    reading = await CsvFile(tmp_path).write(members).read()
    assert reading.payloads == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


async def test_files_are_found_sorted_and_by_wildcards(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.csv", "a.csv", "sub/c.csv", "[1].csv"):
        (tmp_path / name).write_bytes(b"a\n")
    for pattern, expected in {
        "[ab].csv": ["a.csv", "b.csv"],
        "**/*.csv": ["[1].csv", "a.csv", "b.csv", "sub/c.csv"],
        "[1].csv": ["[1].csv"],
        f"{tmp_path}/sub/*": ["sub/c.csv"],
    }.items():
        assert await CsvFile(tmp_path, name=pattern).source.partitions() == expected
    with pytest.raises(SourceError, match=r"no file matches 'x\*\.csv'"):
        await CsvFile(tmp_path, name="x*.csv").source.partitions()


async def test_a_file_that_vanished_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"rows\.csv: No such file"):
        await CsvFile(tmp_path).read()
