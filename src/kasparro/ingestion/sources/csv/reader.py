"""Reads one file into batches. Plain blocking code: `source.py` calls it in a thread."""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from kasparro.core.errors import SourceError
from kasparro.ingestion.columns.text import RecordParts
from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, SourceRecord
from kasparro.ingestion.sources.csv.careful import parse_carefully, reject_long_line
from kasparro.ingestion.sources.csv.dialect import LineCodec
from kasparro.ingestion.sources.csv.files import BLOCK_BYTES, FINGERPRINT_BYTES, fingerprint
from kasparro.ingestion.sources.csv.opening import Opening, find_place
from kasparro.ingestion.sources.csv.options import CsvOptions
from kasparro.ingestion.sources.csv.position import Place, Position
from kasparro.ingestion.sources.csv.records import Layout, Segment, parse_clean, unfinished

_SMALL_WINDOW = 4 * 1024
_LARGE_WINDOW = 4 * BLOCK_BYTES
_EMPTY = Segment(b"", 0, (), ())


class CsvReader:
    """Batches of one file from an opening on, then what stands for the whole pass.

    Memory is bounded by the block size and `max_record_bytes`, beside the batch itself.
    """

    def __init__(self, opening: Opening, options: CsvOptions, partition: str, limits: BatchLimits) -> None:
        self._stream = opening.stream
        self._position = position = opening.position
        self._options = options
        self._partition = partition
        self._limits = limits
        self._block_bytes = max(1, min(BLOCK_BYTES, limits.size_bytes))
        self._layout = _layout(position, options, partition)
        self._codec = LineCodec(self._layout.dialect) if self._layout else None
        self._offset, self._line, self._tail = position.place.offset, position.place.line, opening.tail
        self._settle = position.settle
        self._held = False
        self._buffer = b""
        self._window = _LARGE_WINDOW
        self._at_end = self._layout is None
        self._segment, self._taken = _EMPTY, 0

    def close(self) -> None:
        self._stream.close()

    def next_batch(self) -> Batch | None:
        """The next batch; None when there are no more records."""
        records = RecordParts()
        size, deadline = 0, time.monotonic() + self._limits.seconds
        while len(records) < self._limits.records and size < self._limits.size_bytes:
            if self._taken == len(self._segment.records) and not self._advance():
                break
            taken, used = self._take(self._limits.records - len(records))
            records.extend(taken)
            size += used
            if time.monotonic() >= deadline:
                break
        return Batch(records, self._cursor().to_json(), size) if records else None

    def final(self) -> FinalBatch:
        """Raises SourceError where the data was cut off, PassExpiredError when the file was replaced meanwhile."""
        if self._stream.failure is not None:
            place = f"after line {self._line - 1}, byte {self._offset:,} of the decompressed data"
            raise SourceError(f"{self._stream.failure.message} {place}") from self._stream.failure
        cursor = self._cursor()
        if self._stream.was_touched() and find_place(self._stream, cursor) is None:
            raise self._stream.replaced()
        coverage = "window" if self._held else cursor.coverage
        place, reread = cursor.settle or cursor.place, cursor.settle is not None
        state = replace(cursor, place=place, settle=None, held=self._held, reread=reread, coverage=coverage)
        return FinalBatch(state.to_json(), coverage, reread=self._position.reread)

    def _cursor(self) -> Position:
        offset, line, tail = self._after(self._taken)
        return replace(self._position, place=Place(offset, line, fingerprint(tail)), settle=self._settle)

    def _take(self, room: int) -> tuple[Sequence[SourceRecord], int]:
        """Up to `room` records of the segment, and the number of bytes they took."""
        before, begin = self._after(self._taken)[0], self._taken
        self._taken = min(begin + room, len(self._segment.records))
        return self._segment.records[begin : self._taken], self._after(self._taken)[0] - before

    def _after(self, taken: int) -> tuple[int, int, bytes]:
        """Offset, line number and tail behind the segment's first `taken` records."""
        if taken == len(self._segment.records):
            return self._at_line(self._segment.lines)
        return self._at_line(self._segment.ends[taken - 1] if taken else 0)

    def _at_line(self, lines: int) -> tuple[int, int, bytes]:
        return self._place_in(self._segment, lines)

    def _advance(self) -> bool:
        """Move to the next segment that has records; False at the end."""
        while self._layout is not None:
            self._finish_segment()
            if segment := self._parse(self._layout):
                self._segment = self._settled(segment, self._layout)
                if self._segment.records:
                    return True
            elif self._at_end:
                break
            else:
                self._fill()
        return False

    def _finish_segment(self) -> None:
        self._offset, self._line, self._tail = self._at_line(self._segment.lines)
        self._segment, self._taken = _EMPTY, 0

    def _fill(self) -> None:
        block = self._stream.read(self._block_bytes)
        self._buffer += block
        self._at_end = not block

    def _parse(self, layout: Layout) -> Segment | None:
        """Records at the beginning of the buffer; None when that takes more bytes, or there are none left."""
        if not self._buffer:
            return None
        segment = self._parse_window(layout) or self._parse_carefully(layout, len(self._buffer))
        if segment.raw:
            self._buffer = self._buffer[len(segment.raw) :]
            return segment
        codec = LineCodec(layout.dialect)
        if self._at_end or len(self._buffer) <= layout.max_record_bytes or codec.end_of_line(self._buffer):
            return None
        return self._skip_long_line(codec, layout)

    def _parse_window(self, layout: Layout) -> Segment | None:
        """Narrows in on what is not clean, so that one broken row does not slow down the thousand around it."""
        window = self._buffer[: self._window]
        segment = parse_clean(window, layout, self._line)
        if segment is None and self._window > _SMALL_WINDOW and LineCodec(layout.dialect).end_of_line(window):
            self._window = _SMALL_WINDOW
            segment = parse_clean(self._buffer[: self._window], layout, self._line)
        if segment is not None:
            self._window = min(self._window * 4, _LARGE_WINDOW)
            return segment
        segment = self._parse_carefully(layout, self._window)
        return segment if segment.raw else None

    def _parse_carefully(self, layout: Layout, window: int) -> Segment:
        at_eof = self._at_end and self._stream.failure is None and window >= len(self._buffer)
        return parse_carefully(self._buffer[:window], layout, self._line, at_eof=at_eof)

    def _skip_long_line(self, codec: LineCodec, layout: Layout) -> Segment:
        """Reject a line that is too long for memory, and leave out the rest of it."""
        record = reject_long_line(self._buffer, layout, self._line)
        begin = Place(self._offset, self._line, fingerprint(self._tail))
        while not (end := codec.end_of_line(self._buffer)) and not self._at_end:
            whole = len(self._buffer) - len(self._buffer) % codec.width
            self._offset += whole
            self._tail = _last(self._tail, self._buffer[:whole])
            self._buffer = self._buffer[whole:]
            self._fill()
        raw = self._buffer[:end] if end else self._buffer
        self._buffer = self._buffer[len(raw) :]
        if not end and self._settle is None:
            self._settle = begin
        return Segment(raw, 1, (record,), (1,)) if record else Segment(raw, 1, (), ())

    def _settled(self, segment: Segment, layout: Layout) -> Segment:
        """Note where the next pass must begin while the file's end may grow; hold back what is not known for sure.

        What is delivered from there on is read again when the file has grown, whether it was held back before or not.
        """
        first_open = segment.first_open_line if self._settle is None else 0
        if segment.first_open_line is not None:
            segment = self._without_held(segment, segment.first_open_line, layout)
        if first_open is None or first_open >= segment.lines:
            return segment
        if self._settle is None:
            offset, line, tail = self._place_in(segment, first_open)
            self._settle = Place(offset, line, fingerprint(tail))
        sure = bisect_right(segment.ends, first_open)
        records = [*segment.records[:sure], *map(unfinished, segment.records[sure:])]
        return replace(segment, records=records)

    def _without_held(self, segment: Segment, first_open: int, layout: Layout) -> Segment:
        """The segment without a last line that lacks its end, unless it has its key or waited for a whole pass."""
        codec = LineCodec(layout.dialect)
        ends_so = bool(segment.ends) and segment.ends[-1] == segment.lines and not codec.is_terminated(segment.raw)
        if not ends_so or self._position.held or self._is_identified(segment.records[-1], layout):
            return segment
        self._held = True
        kept = max(first_open, segment.ends[-2] if len(segment.ends) > 1 else 0)
        raw = segment.raw[: codec.offset_after(segment.raw, kept)]
        return Segment(raw, kept, segment.records[:-1], segment.ends[:-1])

    def _place_in(self, segment: Segment, lines: int) -> tuple[int, int, bytes]:
        """Offset, line number and tail behind the first `lines` physical lines of a segment."""
        if lines == segment.lines:
            used = segment.raw
        elif self._codec is None or lines == 0:
            used = b""
        else:
            used = segment.raw[: self._codec.offset_after(segment.raw, lines)]
        return self._offset + len(used), self._line + lines, _last(self._tail, used)

    def _is_identified(self, record: SourceRecord, layout: Layout) -> bool:
        """Whether a line without its end has its key for sure: the last cell may still grow."""
        key = self._options.key
        known = set(key) <= set(layout.names[:-1])
        return bool(key) and not record.defects and known and all(record.payload[name] for name in key)


def _layout(position: Position, options: CsvOptions, partition: str) -> Layout | None:
    if position.dialect is None:
        return None
    return Layout(position.dialect, position.names, partition, options.comment, options.max_record_bytes)


def _last(before: bytes, used: bytes) -> bytes:
    """The last 64 KiB of both."""
    if len(used) >= FINGERPRINT_BYTES:
        return used[-FINGERPRINT_BYTES:]
    return (before + used)[-FINGERPRINT_BYTES:]
