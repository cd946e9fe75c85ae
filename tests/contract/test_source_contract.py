"""What every source type promises, checked on each: add a factory here when a type is added."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kasparro.core.errors import KasparroError, PassExpiredError
from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, Json, Source, Start
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource
from tests.api_pages import Collection, direct_source
from tests.feeds import Folder, folder_source, numbered
from tests.http_server import answer


@dataclass(frozen=True)
class Case:
    """A source with many records in several partitions, and one over input made to break it.

    `skips_unchanged`: whether the source can tell that nothing has changed without reading it all.
    """

    name: str
    make: Callable[[Path], Source]
    make_hostile: Callable[[Path, bytes], Source]
    least_partitions: int = 2
    skips_unchanged: bool = True


def make_csv(folder: Path) -> Source:
    rows = [f'{number},"line one\nline {number}",{number}.5\n'.encode() for number in range(300)]
    rows[100] = b"ragged\n"
    rows[200] = b'200,"never closed,1\n'
    (folder / "plain.csv").write_bytes(b"id,text,value\n" + b"".join(rows))
    (folder / "packed.csv").write_bytes(gzip.compress(b"id,text,value\r\n" + b"9,x,1\r\n" * 50, mtime=0))
    (folder / "wide.csv").write_bytes("id;text\n1;ä\n2;ö".encode("utf-16"))
    return CsvSource(CsvOptions("rows", "*.csv", folder, key=("id",)), dict)


def make_hostile_csv(folder: Path, content: bytes) -> Source:
    (folder / "hostile.csv").write_bytes(content)
    return CsvSource(CsvOptions("rows", "hostile.csv", folder), dict)


def make_rss(folder: Path) -> Source:
    (folder / "rolls.xml").write_bytes(numbered(60))
    (folder / "repeats.xml").write_bytes(numbered(30).replace(b"<guid>7</guid>", b"<guid>8</guid>"))
    items = ", ".join(f'{{"id": {n}, "content_text": "\\u00e4 {n}"}}' for n in range(30))
    (folder / "feed.json").write_text(f'{{"version": "https://jsonfeed.org/version/1.1", "items": [{items}]}}')
    return folder_source(Folder(folder), "rolls.xml", "repeats.xml", "feed.json")


def make_hostile_rss(folder: Path, content: bytes) -> Source:
    (folder / "hostile.xml").write_bytes(content)
    return folder_source(Folder(folder), "hostile.xml")


def make_api(_folder: Path) -> Source:
    records = [{"id": number, "text": f"ä {number}"} for number in range(60)]
    return direct_source(Collection([*records[:30], *records[:2], *records[30:]], "cursor", 4))


def make_hostile_api(_folder: Path, content: bytes) -> Source:
    return direct_source(answer(200, content))


CASES = [
    Case("csv", make_csv, make_hostile_csv),
    Case("rss", make_rss, make_hostile_rss),
    Case("api", make_api, make_hostile_api, least_partitions=1, skips_unchanged=False),
]
HOSTILE = {
    "empty": b"",
    "zeros": b"\x00" * 5000,
    "quotes": b'"' * 5001,
    "line ends": b"\r\n\n\r" * 2000,
    "marks": b"\xff\xfe\x00\x00\xef\xbb\xbf",
    "no end": b"a" * 3_000_000,
    "half a gzip": gzip.compress(b"a,b\n" * 5000)[:40],
    "binary": bytes(range(256)) * 50,
    "nested json": b"[" * 50_000,
    "open tags": b"<rss><item>" * 5000,
    "wide": b"a," * 20_000 + b"\n" + b"1," * 20_000,
}

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


async def read(source: Source, partition: str, start: Start) -> list[Batch | FinalBatch]:
    return [item async for item in source.read(partition, start)]


async def ending(source: Source, partition: str) -> str:
    """How a whole read ends: `final`, or with the message of a house error."""
    try:
        items = await read(source, partition, Start())
    except KasparroError as error:
        return error.message
    return "final" if isinstance(items[-1], FinalBatch) else "a batch"


def through_json(value: Json) -> Json:
    return json.loads(json.dumps(value, allow_nan=False))


@cases
async def test_a_read_ends_with_exactly_one_final_batch(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    partitions = await source.partitions()
    assert len(partitions) >= case.least_partitions
    for partition in partitions:
        items = await read(source, partition, Start())
        assert [isinstance(item, FinalBatch) for item in items] == [False] * (len(items) - 1) + [True]


@cases
async def test_the_same_input_gives_the_same_records_however_batches_are_cut(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    assert await source.partitions() == await source.partitions()
    for partition in await source.partitions():
        one_by_one = await read(source, partition, Start(limits=BatchLimits(records=1)))
        at_once = await read(source, partition, Start())
        records = [
            [record for item in items if isinstance(item, Batch) for record in item.records]
            for items in (one_by_one, at_once)
        ]
        assert records[0] == records[1]
        assert one_by_one[-1] == at_once[-1]


@cases
async def test_locators_are_unique_and_name_the_partition(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    for partition in await source.partitions():
        items = await read(source, partition, Start())
        locators = [record.locator for item in items if isinstance(item, Batch) for record in item.records]
        assert len(set(locators)) == len(locators)
        assert all(partition in locator for locator in locators)


@cases
async def test_a_resume_from_any_cursor_misses_nothing_and_doubles_nothing(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    for partition in await source.partitions():
        items = await read(source, partition, Start(limits=BatchLimits(records=7)))
        batches = [item for item in items if isinstance(item, Batch)]
        for index, batch in enumerate(batches):
            rest = await read(source, partition, Start(cursor=through_json(batch.cursor)))
            resumed = [record for item in rest if isinstance(item, Batch) for record in item.records]
            assert resumed == [record for later in batches[index + 1 :] for record in later.records]
            assert rest[-1] == items[-1]


@cases
async def test_a_second_pass_over_unchanged_input_reads_nothing_or_the_same(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    for partition in await source.partitions():
        first = await read(source, partition, Start())
        final = first[-1]
        assert isinstance(final, FinalBatch)
        second = await read(source, partition, Start(settled=through_json(final.state)))
        if case.skips_unchanged:
            assert second == [FinalBatch(final.state, "none")]
        else:
            assert second == first


@cases
async def test_batches_keep_to_their_limits(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    for partition in await source.partitions():
        items = await read(source, partition, Start(limits=BatchLimits(records=10)))
        assert all(0 < len(item.records) <= 10 for item in items if isinstance(item, Batch))


@cases
async def test_a_foreign_cursor_has_expired(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    with pytest.raises(PassExpiredError):
        await read(source, (await source.partitions())[0], Start(cursor={"nobody": "knows"}))


@cases
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_input_gives_defects_or_a_house_error(case: Case, tmp_path: Path, content: bytes) -> None:
    source = case.make_hostile(tmp_path, content)
    for partition in await source.partitions():
        ended = await ending(source, partition)
        assert ended == "final" or partition in ended
