"""Judged as columns or one by one: the same rows, rejects, line numbers and hashes, whatever stands in a file."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kasparro.core.errors import KasparroError
from kasparro.ingestion.columns.text import RecordParts, TextColumns
from kasparro.ingestion.encoding import encode_share
from kasparro.ingestion.lanes import ReaderBatch, split
from kasparro.ingestion.registry import build_source, build_transformer
from kasparro.ingestion.source import Batch, BatchLimits, SourceRecord, Start
from kasparro.ingestion.sources.csv import reader
from kasparro.ingestion.transform import TransformedBatch, Transformer
from kasparro.schemas.batches import LaneBatch
from kasparro.schemas.configuration import parse_configuration

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Transform = Callable[[Sequence[SourceRecord], int], TransformedBatch]
SOURCE = """
sources:
  - name: rows
    type: csv
    path: rows.csv
    delimiter: ","
    quotechar: '"'
    encoding: utf-8
    header: true
"""
WHOLE = """
    key: [k, e]
    ignore: [x]
    map: {title: t, body: x, value: v, unit: {value: mi}, occurred_at: o, entity_key: e, tags: [t, x],
          attributes: {x: x, "a\\"b": t}}
"""
RENAMED = """
    key: k
    map: {title: {expr: 'not_null(t, x)'}, value: {expr: 'not_null(no, v)'}, author: {expr: 'not_null("no ne", no, x)'},
          occurred_at: {expr: 'not_null(no, o, k)'}, entity_key: {expr: 'not_null(e)'},
          tags: [t, {expr: 'not_null(no, x)'}], attributes: {x: {expr: 'not_null(no, x, t)'}, k: k}}
"""
MAPPINGS = [
    WHOLE,
    "    key: k\n    map: {title: t, value: v, occurred_at: o, attributes: '*'}\n",
    "    map: {title: t, author: x, value: v, tags: x}\n",
    "    key: k\n    timezone: Europe/Berlin\n    null_values: ['', NA, '0']\n    map: {occurred_at: o, tags: v}\n",
    "    key: k\n    map: {title: missing, value: v}\n",
    "    key: k\n    version: o\n    map: {title: t}\n",
    "    key: k\n    timezone: Europe/Berlin\n    null_values: ['', NA, '0']\n    version: o\n    map: {title: t}\n",
    "    key: k\n    version: {field: v, type: number}\n    map: {title: t}\n",
    "    key: k\n    version: {field: t, type: text}\n    map: {value: v}\n",
    "    key: k\n    where: \"v != '1'\"\n    map: {value: v}\n",
    RENAMED,
    "    key: k\n    map: {title: {expr: 'not_null(no, none)'}, value: v}\n",
    "    key: k\n    map: {value: {expr: 'not_null(no, v)'}, attributes: '*'}\n",
    "    key: k\n    null_values: ['', NA, '0']\n    map: {tags: [{expr: 'not_null(no, t)'}], value: v}\n",
    "    key: k\n    map: {title: {expr: \"join('-', [t, x])\"}, unit: {value: 'a\"b'}}\n",
]
TIME = "2013-01-01T10:00:00Z"
NAMES = ("k", "t", "x", "v", "o", "e")

keys = st.sampled_from(["1", "2", "a|b", "", " ", "NA", "é", "e\u0301", "-", "k" * 257, "\\", "\u00a0", "ключ"])
texts = st.sampled_from(
    ["", "NA", "x", "A b", "é", "e\u0301", '"', "a,b", "l\nm", "\t", "\\", "\x7f", "\u2028", "\x1f", "'", "\ufeff"]
)
numbers = st.one_of(
    st.sampled_from([
        "", "NA", "0", "-0", "0.0", "-0.0", "00", "007", "+1", "1.", ".5", "0.5", "-0.5", "-0.50", "1.500", "100",
        "1e5", "1E-7", "0.0000001", "0.000001", "0.1234567", "1_000", " 1", "1 ", "NaN", "Infinity", "-inf", "-1.10",
        "9" * 15, "9" * 16, "9" * 40, "123456789012345.123456", "1,5", "\u0661", "\u22121", "0x10", "-", ".", "abc",
    ]),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.floats(allow_nan=False).map(repr),
)  # fmt: skip
times = st.one_of(
    st.sampled_from([
        "", "NA", "2013-01-01", "2013-01-01T10:00:00Z", "2013-01-01 10:00:00", "2013-01-01T10:00:00.5Z",
        "2013-01-01T10:00", "2013-01-01T10:00:00.123456Z", "2013-01-01T10:00:00.1234567Z", "2013-02-30T10:00:00Z",
        "2013-01-01T24:00:00Z", "2013-01-01T10:00:60Z", "2013-01-01T10:00:00+02:00", "2013-01-01T10:00:00z",
        "2013-01-01t10:00:00Z", " 2013-01-01T10:00:00Z", "0999-01-01T00:00:00Z", "1000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z", "2999-12-31T23:59:59Z", "2013-01-01T10:00:00.Z", "2013-01-01T10:00:00ZZ",
        "2013-13-01T10:00:00Z", "2013-01-01T25:00:00Z", "2013-01-01T10:00:00.000000Z", "2013-1-1T10:00:00Z",
        "2013-03-31T02:30:00", "2013-10-27T02:30:00", "20130101T100000Z", "\uff12013-01-01T10:00:00Z",
    ]),
    st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)).map(lambda time: f"{time.isoformat()}Z"),  # noqa: DTZ001
)  # fmt: skip
rows = st.lists(st.tuples(keys, texts, texts, numbers, times, keys), min_size=1, max_size=6)
quotings = st.sampled_from(["never", "needed", "always"])
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cell(text: str, quoting: str) -> str:
    special = any(character in text for character in ',"\n\r')
    if quoting == "always" or (quoting == "needed" and special):
        return '"' + text.replace('"', '""') + '"'
    return text


def written(table: Sequence[Sequence[str]], quoting: str, newline: str) -> str:
    return "".join(",".join(cell(text, quoting) for text in row) + newline for row in (NAMES, *table))


async def read(folder: Path, mapping: str) -> tuple[list[Batch], Transformer]:
    config = parse_configuration(SOURCE + mapping, {}).sources[0]
    source = build_source(config, folder)
    items = [item async for item in source.read("rows.csv", Start(limits=BatchLimits(records=4)))]
    return [item for item in items if isinstance(item, Batch)], build_transformer(config)


def encoded(transform: Transform, batches: list[Batch], lanes: int) -> list[LaneBatch]:
    shares: list[LaneBatch] = []
    before = 0
    for batch in batches:
        transformed = transform(batch.records, before + 1)
        place = ReaderBatch(before, len(batch.records), batch.cursor, batch.size_bytes)
        shares += [encode_share(share, "rows.csv", NOW) for share in split(place, transformed, [0] * lanes)]
        before += len(batch.records)
    return shares


def check_both_ways(folder: Path, content: bytes, mapping: str, lanes: int = 1) -> list[Batch]:
    (folder / "rows.csv").write_bytes(content)
    batches, transformer = asyncio.run(read(folder, mapping))
    one_by_one = encoded(transformer.judge, batches, lanes)
    for other in (transformer, replace(transformer, mapping=None)):
        by_columns = encoded(other.transform, batches, lanes)
        for left, right in zip(by_columns, one_by_one, strict=True):
            assert left.rows.to_pylist() == right.rows.to_pylist()
            assert left.rows.schema == right.rows.schema
            assert left.reasons == right.reasons
            assert replace(left, rows=right.rows) == right
    return batches


@FEW
@given(
    table=rows,
    quoting=quotings,
    newline=st.sampled_from(["\n", "\r\n"]),
    mapping=st.sampled_from(MAPPINGS),
    lanes=st.sampled_from([1, 3]),
)
@example(
    table=[("1", "t", "x", "1", "2013-01-01T10:00:00Z", "e")] * 3, quoting="never", newline="\n", mapping=WHOLE, lanes=1
)
@example(table=[("1", "", "NA", "0", "", "é")] * 3, quoting="needed", newline="\n", mapping=RENAMED, lanes=1)
def test_columns_and_single_records_are_the_same(
    tmp_path: Path, table: list[tuple[str, ...]], quoting: str, newline: str, mapping: str, lanes: int
) -> None:
    try:
        check_both_ways(tmp_path, written(table, quoting, newline).encode(), mapping, lanes)
    except KasparroError:
        return  # what makes a file unreadable is not this test's


@FEW
@given(table=rows, quoting=quotings, mapping=st.sampled_from(MAPPINGS))
def test_records_are_the_same_whether_a_file_is_read_as_columns_or_row_by_row(
    tmp_path: Path, table: list[tuple[str, ...]], quoting: str, mapping: str
) -> None:
    (tmp_path / "rows.csv").write_bytes(written(table, quoting, "\n").encode())
    try:
        fast, _ = asyncio.run(read(tmp_path, mapping))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kasparro.ingestion.sources.csv.records.read_columns", lambda *_: None)
            slow, _ = asyncio.run(read(tmp_path, mapping))
    except KasparroError:
        return
    assert [record for batch in fast for record in batch.records] == [
        record for batch in slow for record in batch.records
    ]
    assert [(batch.cursor, batch.size_bytes) for batch in fast] == [(batch.cursor, batch.size_bytes) for batch in slow]


def test_columns_that_were_renamed_are_judged_as_columns(tmp_path: Path) -> None:
    content = written([("1", "t", "x", "1", TIME, "e")] * 3, "never", "\n").encode()
    batches = check_both_ways(tmp_path, content, RENAMED)
    transformer = build_transformer(parse_configuration(SOURCE + RENAMED, {}).sources[0])
    assert [rows.num_rows for rows in transformer.transform(batches[0].records, 1).columns] == [3]


def test_plain_rows_are_read_and_judged_as_columns(tmp_path: Path) -> None:
    table = [(str(number), "Café", "x", "1.5", "2013-01-01T10:00:00Z", "e") for number in range(10)]
    batches = check_both_ways(tmp_path, written(table, "never", "\r\n").encode(), WHOLE)
    parts = [part for batch in batches if isinstance(batch.records, RecordParts) for part in batch.records.parts]
    assert parts
    assert all(isinstance(part, TextColumns) for part in parts)
    _, transformer = asyncio.run(read(tmp_path, WHOLE))
    transformed = transformer.transform(batches[0].records, 1)
    assert transformed.accepted == []
    assert sum(rows.num_rows for rows in transformed.columns) == 4


def test_one_odd_row_costs_its_neighbours_nothing_but_time(tmp_path: Path) -> None:
    table = [("1", "t", "x", "1", "", "e"), ("2", 't"', "x", "1", "", "e"), ("3", "t", "x", "1e3", "", "e")]
    batches = check_both_ways(tmp_path, written(table, "needed", "\n").encode(), WHOLE)
    assert sum(len(batch.records) for batch in batches) == 3


def test_a_first_load_has_the_same_rows_but_for_the_order_of_members(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('k,long,tt\n1,a,b\n2,"é""",d\n', encoding="utf-8")
    batches, transformer = asyncio.run(read(tmp_path, "    key: k\n    map: {title: tt, attributes: '*'}\n"))
    first = replace(transformer, all_stored=True)
    (usual,), (kept,) = (encoded(each.transform, batches[:1], 1) for each in (transformer, first))
    assert usual.rows.column("payload")[0].as_py() == '{"k":"1","long":"a","tt":"b"}'
    assert kept.rows.column("payload")[0].as_py() == '{"k":"1","tt":"b","long":"a"}'
    assert kept.rows.drop_columns(["payload"]) == usual.rows.drop_columns(["payload"])


def test_columns_are_their_records(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("k,t\n1,a\n2,b\n3,c\n", encoding="utf-8")
    (batch, *_), _ = asyncio.run(read(tmp_path, "    key: k\n    map: {title: t}\n"))
    assert isinstance(batch.records, RecordParts)
    (columns,) = batch.records.parts
    assert isinstance(columns, TextColumns)
    assert columns[-1] == SourceRecord({"k": "3", "t": "c"}, "rows.csv:4")
    assert list(columns[1:]) == [columns[1], columns[2]] == list(batch.records)[1:] == batch.records[1:]
    assert batch.records[2] == columns[2]
    with pytest.raises(IndexError):
        batch.records[3]


def test_the_reader_gives_large_parts() -> None:
    assert reader.BLOCK_BYTES >= 1024 * 1024, "many small parts cost more than their rows"
