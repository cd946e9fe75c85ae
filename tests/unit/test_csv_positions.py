"""Where a read of a CSV file begins: nothing when it is unchanged, the new rows when it has grown, else everything."""

import asyncio
import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.errors import PassExpiredError, SourceError
from kasparro.ingestion.source import Batch, BatchLimits, Start
from kasparro.ingestion.sources.csv.reader import CsvReader
from tests.csv_files import CsvFile

KEYED = {"key": ("id",)}
HEAD = b"id,name\n1,ann\n2,bob\n"
ONE = BatchLimits(records=1)


def ids(payloads: list[dict[str, Any]]) -> list[str]:
    return [payload["id"] for payload in payloads]


async def test_an_unchanged_file_is_not_even_opened(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    first = await file.read()
    times = file.path.stat()
    file.path.write_bytes(b"\x00" * len(HEAD))
    os.utime(file.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = await file.read(settled=json.loads(json.dumps(first.final.state)))
    assert (second.records, second.final.coverage, second.final.state) == ([], "none", first.final.state)


async def test_a_grown_file_continues(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    first = await file.read()
    second = await file.append(b"3,cid\n4,dan\n").read(settled=first.final.state)
    assert (ids(second.payloads), second.lines, second.final.coverage) == (["3", "4"], [4, 5], "window")
    third = await file.append(b"5,eve\n").read(settled=second.final.state)
    assert (ids(third.payloads), third.lines, third.final.coverage) == (["5"], [6], "window")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(HEAD, id="touched"),
        pytest.param(HEAD[:14], id="shrunk"),
        pytest.param(b"id,nome\n1,ann\n2,bob\n3,cid\n", id="other head"),
        pytest.param(b"id,name\n1,ann\n2,eve\n3,cid\n", id="grown but rewritten"),
    ],
)
async def test_anything_else_is_read_again(tmp_path: Path, changed: bytes) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    first = await file.read()
    second = await file.write(changed).read(settled=first.final.state)
    assert (second.lines, second.final.coverage) == (list(range(2, changed.count(b"\n") + 1)), "full")


async def test_a_change_behind_the_first_64_kib_is_seen(tmp_path: Path) -> None:
    rows = [b"%d,%s\n" % (number, b"x" * 90) for number in range(3000)]
    file = CsvFile(tmp_path, KEYED).write(b"id,name\n" + b"".join(rows))
    first = await file.read()
    rows[2990] = rows[2990].replace(b"x", b"y")
    second = await file.write(b"id,name\n" + b"".join(rows) + b"new,row\n").read(settled=first.final.state)
    assert (len(second.records), second.final.coverage) == (3001, "full")


async def test_other_options_read_everything_again(tmp_path: Path) -> None:
    first = await CsvFile(tmp_path, KEYED).write(HEAD).read()
    file = CsvFile(tmp_path, {**KEYED, "comment": "#"})
    assert len((await file.read(settled=first.final.state)).records) == 2


async def test_a_dialect_seen_too_early_is_seen_anew(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(b"id,x;y\n")
    first = await file.read()
    second = await file.append(b"1;2,5\n2;3,5\n3;4\n").read(settled=first.final.state)
    assert second.final.coverage == "full"


async def test_with_a_key_the_last_line_is_delivered_but_stays_before_the_position(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD + b"3,ci")
    first = await file.read()
    assert ids(first.payloads) == ["1", "2", "3"]
    assert first.batches[-1].cursor["offset"] == len(HEAD) + 4
    assert first.final.state["offset"] == len(HEAD)
    assert (await file.read(settled=first.final.state)).final.coverage == "none"
    second = await file.append(b"d\n4,dan\n").read(settled=first.final.state)
    assert second.payloads == [{"id": "3", "name": "cid"}, {"id": "4", "name": "dan"}]
    assert (second.lines, second.final.coverage) == ([4, 5], "window")


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, id="row hash"), pytest.param({"key": ("name",)}, id="key in the last column")],
)
async def test_without_a_sure_key_the_last_line_is_held_for_one_pass(tmp_path: Path, options: dict[str, Any]) -> None:
    file = CsvFile(tmp_path, options).write(HEAD + b"3,cid")
    first = await file.read()
    assert (ids(first.payloads), first.final.coverage) == (["1", "2"], "window")
    assert (first.final.state["held"], first.final.state["offset"]) == (True, len(HEAD))
    second = await file.read(settled=first.final.state)
    assert (ids(second.payloads), second.lines, second.final.coverage) == (["3"], [4], "window")
    assert second.final.state["offset"] == len(HEAD), "it may still grow, however long it has waited"
    assert (await file.read(settled=second.final.state)).final.coverage == "none"
    third = await file.append(b"er\n4,dan\n").read(settled=second.final.state)
    assert (third.payloads, third.lines) == ([{"id": "3", "name": "cider"}, {"id": "4", "name": "dan"}], [4, 5])


async def test_a_held_line_that_grows_is_read_whole(tmp_path: Path) -> None:
    file = CsvFile(tmp_path).write(HEAD + b"3,ci")
    first = await file.read()
    second = await file.append(b"d\n4,d").read(settled=first.final.state)
    assert (second.payloads, second.final.state["held"]) == ([{"id": "3", "name": "cid"}], True)


async def test_a_half_written_row_is_no_reject_yet(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, {"key": ("id",)}).write(HEAD + b"3")
    first = await file.read()
    assert (ids(first.payloads), first.codes) == (["1", "2"], {})
    second = await file.read(settled=first.final.state)
    assert second.codes == {4: "unfinished_row"}
    assert second.records[0].defects[0].message == (
        "rows.csv:4: 1 cells, but there are 2 columns; its rest may not have been written yet"
    )
    third = await file.append(b",cid\n4,dan\n").read(settled=second.final.state)
    assert (ids(third.payloads), third.lines, third.final.reread) == (["3", "4"], [4, 5], True)
    fourth = await file.append(b"5,eve\n").read(settled=third.final.state)
    assert (fourth.lines, fourth.final.reread) == ([6], False)


@pytest.mark.parametrize("key", [("id",), ()], ids=["keyed", "row hash"])
@pytest.mark.parametrize(
    ("half", "rest"),
    [
        pytest.param(b"3", b",cid\n", id="ragged"),
        pytest.param(b'3,"x', b'\ny"\n', id="open quote"),
        pytest.param(b'3,"x\n', b'y"\n', id="open quote, line ended"),
        pytest.param(b'3,"x\ny', b'\nz"\n', id="second line of an open quote"),
        pytest.param(b"3,c", b"id\n", id="cut cell"),
        pytest.param(b"3,c\xc3", b"\xa9\n", id="cut character"),
        pytest.param(b"3," + b"x" * 90, b"x\n", id="too long"),
        pytest.param(b"# " + b"x" * 90, b"4,dan\n", id="long comment"),
        pytest.param(b"# 3", b",4\n", id="comment"),
    ],
)
async def test_whatever_was_done_with_an_unfinished_line_it_is_read_again(
    tmp_path: Path, key: tuple[str, ...], half: bytes, rest: bytes
) -> None:
    options = {"key": key, "encoding": "utf-8", "max_record_bytes": 80, "comment": "#", "quotechar": '"'}
    file = CsvFile(tmp_path, options).write(HEAD + half)
    first = await file.read()
    second = await file.read(settled=first.final.state)
    third = await file.read(settled=second.final.state)
    assert (third.final.coverage, third.final.state["offset"], third.final.state["line"]) == ("none", len(HEAD), 4)
    fourth = await file.append(rest + b"5,eve\n").read(settled=third.final.state)
    whole = await CsvFile(tmp_path, options, "whole.csv").write(HEAD + half + rest + b"5,eve\n").read()
    assert (fourth.payloads, fourth.lines) == (whole.payloads[2:], whole.lines[2:])


async def test_a_cursor_inside_the_open_end_gives_the_same_rejects(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD + b'3,"x\none\ntwo\n')
    whole = await file.read(limits=ONE)
    assert whole.codes == {4: "unclosed_quote", 5: "unfinished_row", 6: "unfinished_row"}
    rest = await file.read(cursor=whole.batches[2].cursor)
    assert (rest.codes, rest.final) == ({5: "unfinished_row", 6: "unfinished_row"}, whole.final)


async def test_a_half_written_header_waits(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(b"id,na")
    first = await file.read()
    second = await file.append(b"me\n1,ann\n").read(settled=first.final.state)
    assert (second.payloads, second.final.coverage) == ([{"id": "1", "name": "ann"}], "full")


async def test_a_quoted_text_that_is_still_written_is_read_whole_later(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD + b'3,"first\nsecond')
    first = await file.read()
    assert first.codes == {4: "unclosed_quote"}
    second = await file.append(b'"\n').read(settled=first.final.state)
    assert second.payloads == [{"id": "3", "name": "first\nsecond"}]


async def test_a_cursor_holds_while_the_file_only_grows(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    cursor = (await file.read(limits=ONE)).batches[0].cursor
    rest = await file.append(b"3,cid\n").read(cursor=cursor)
    assert (ids(rest.payloads), rest.lines, rest.final.coverage) == (["2", "3"], [3, 4], "full")


async def test_a_cursor_behind_a_line_that_grew_goes_back(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD + b"3,ci")
    cursor = (await file.read()).batches[-1].cursor
    rest = await file.append(b"d\n").read(cursor=cursor)
    assert rest.payloads == [{"id": "3", "name": "cid"}]


@pytest.mark.parametrize("changed", [HEAD, b"id,name\n1,eve\n2,bob\n3,cid\n", b"id,name\n", b""])
async def test_a_cursor_into_another_file_has_expired(tmp_path: Path, changed: bytes) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    cursor = (await file.read(limits=ONE)).batches[0].cursor
    with pytest.raises(PassExpiredError, match=r"rows\.csv"):
        await file.write(changed).read(cursor=cursor)


async def test_a_cursor_of_unknown_form_has_expired(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    good = (await file.read()).batches[0].cursor
    for cursor in [{"page": 3}, {**good, "fingerprint": {**good["fingerprint"], "head": "?"}}, {**good, "dialect": 7}]:
        with pytest.raises(PassExpiredError):
            await file.read(cursor=cursor)


@pytest.mark.parametrize("change", ["replace", "truncate", "rewrite"])
async def test_a_file_changed_under_the_reader_ends_the_pass(tmp_path: Path, change: str) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    read = file.source.read(file.name, Start(limits=ONE))
    await anext(read)
    if change == "replace":
        (tmp_path / "new.csv").write_bytes(HEAD)
        (tmp_path / "new.csv").rename(file.path)
    elif change == "truncate":
        os.truncate(file.path, 10)
    else:
        file.write(HEAD.replace(b"ann", b"eve"))
    with pytest.raises(PassExpiredError, match=r"rows\.csv"):
        [item async for item in read]


async def test_what_is_appended_while_reading_is_left_to_the_next_pass(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    read = file.source.read(file.name, Start(limits=ONE))
    seen = [await anext(read)]
    file.append(b"3,cid\n")
    seen += [item async for item in read]
    assert sum(len(item.records) for item in seen if isinstance(item, Batch)) == 2
    second = await file.read(settled=seen[-1].state if not isinstance(seen[-1], Batch) else None)
    assert ids(second.payloads) == ["3"]


async def test_gzip_that_was_cut_off_gives_its_good_records_first(tmp_path: Path) -> None:
    rows = b"".join(b"%d,%d\n" % (number, number * 7919 % 10007) for number in range(5000))
    packed = gzip.compress(b"id,name\n" + rows, mtime=0)
    file = CsvFile(tmp_path, KEYED).write(packed[: len(packed) // 2])
    good: list[str] = []

    async def read() -> None:
        async for item in file.source.read(file.name, Start(limits=BatchLimits(records=100))):
            assert isinstance(item, Batch)
            good.extend(ids([record.payload for record in item.records]))

    with pytest.raises(SourceError, match=r"rows\.csv: the compressed data is damaged or cut off .* after line \d+"):
        await read()
    assert len(good) > 500
    assert good == [str(number) for number in range(len(good))]


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"\x1f\x8bnonsense", gzip.compress(HEAD, mtime=0) + b"garbage"])
async def test_damaged_gzip_is_a_source_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError, match=r"rows\.csv: the compressed data is damaged or cut off"):
        await CsvFile(tmp_path, KEYED).write(content).read()


async def test_gzip_resumes_inside_and_continues_with_another_member(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(gzip.compress(HEAD, mtime=0))
    first = await file.read(limits=ONE)
    assert ids((await file.read(cursor=first.batches[0].cursor)).payloads) == ["2"]
    second = await file.append(gzip.compress(b"3,cid\n", mtime=0)).read(settled=first.final.state)
    assert (ids(second.payloads), second.lines, second.final.coverage) == (["3"], [4], "window")


async def test_batches_close_at_records_and_bytes(tmp_path: Path) -> None:
    file = CsvFile(tmp_path, KEYED).write(b"id,name\n" + b"1,aaaaaa\n" * 10)
    by_records = await file.read(limits=BatchLimits(records=4))
    assert [len(batch.records) for batch in by_records.batches] == [4, 4, 2]
    assert [batch.size_bytes for batch in by_records.batches] == [36, 36, 18]
    by_bytes = await file.read(limits=BatchLimits(size_bytes=20))
    assert max(batch.size_bytes for batch in by_bytes.batches) <= 40
    assert len(by_bytes.records) == 10


async def test_a_cancelled_read_leaves_no_thread_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CsvFile(tmp_path, KEYED).write(HEAD)
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()
    next_batch = CsvReader.next_batch

    def slow_batch(reader: CsvReader) -> Batch | None:
        entered.set()
        leave.wait()
        batch = next_batch(reader)
        left.set()
        return batch

    monkeypatch.setattr(CsvReader, "next_batch", slow_batch)
    task = asyncio.ensure_future(file.read())
    await asyncio.to_thread(entered.wait)
    task.cancel()
    asyncio.get_running_loop().call_soon(leave.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()


async def test_normalizing_is_left_to_the_mapping(tmp_path: Path) -> None:
    assert CsvFile(tmp_path).source.normalize({"a": "1"}) == {"a": "1"}
