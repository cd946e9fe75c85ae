"""Decides where a read begins: nothing to do, go on where it was left, or everything from the start."""

from dataclasses import dataclass, replace
from pathlib import Path

from kasparro.core.errors import PassExpiredError, SourceError
from kasparro.ingestion.source import FinalBatch, Start
from kasparro.ingestion.sources.csv.detection import HEAD_BYTES, Detected, detect
from kasparro.ingestion.sources.csv.files import FINGERPRINT_BYTES, FileStream, FileVersion, fingerprint, version_of
from kasparro.ingestion.sources.csv.options import CsvOptions
from kasparro.ingestion.sources.csv.position import Place, Position

_NO_TAIL = fingerprint(b"")


@dataclass(frozen=True, slots=True)
class Opening:
    """An open stream that stands at `position.place`; `tail` is the up to 64 KiB before it."""

    stream: FileStream
    position: Position
    tail: bytes


def open_file(path: Path, partition: str, options: CsvOptions, start: Start) -> Opening | FinalBatch:
    """Where to read on, by the rules of the module `position`; a FinalBatch when the file is as the last pass left it.

    Raises PassExpiredError when `start.cursor` does not fit, SourceError when the file cannot be read.
    """
    settled = Position.from_json(start.settled) if start.settled is not None else None
    if start.cursor is None and settled is not None and start.settled is not None:
        version = version_of(path, partition)
        if _is_unchanged(settled, version) and settled.options == options.reading_hash() and not settled.held:
            return FinalBatch(start.settled, "none")
    stream = FileStream(path, partition)
    try:
        opener = _Opener(stream, partition, options)
        return opener.resume(start.cursor) if start.cursor is not None else opener.begin(settled)
    except BaseException:
        stream.close()
        raise


def detect_file(path: Path, partition: str, options: CsvOptions) -> Detected | None:
    """How the file is written, for people to see; None when it holds nothing yet."""
    with FileStream(path, partition) as stream:
        return _Opener(stream, partition, options).detected


def find_place(stream: FileStream, position: Position) -> bytes | None:
    """Move to the position; returns the up to 64 KiB before it, or None when these or the file's head differ."""
    stream.rewind()
    head_bytes = int(position.head.partition(":")[0])
    if fingerprint(stream.read_fully(head_bytes)) != position.head:
        return None
    tail = go_to(stream, position.place.offset)
    return tail if fingerprint(tail) == position.place.tail else None


def go_to(stream: FileStream, offset: int) -> bytes:
    """Move to the offset; returns the up to 64 KiB before it."""
    stream.rewind()
    tail_bytes = min(offset, FINGERPRINT_BYTES)
    stream.skip(offset - tail_bytes)
    return stream.read_fully(tail_bytes)


class _Opener:
    def __init__(self, stream: FileStream, partition: str, options: CsvOptions) -> None:
        self._stream = stream
        self._partition = partition
        self._options = options
        self._head = stream.read_fully(HEAD_BYTES)

    @property
    def detected(self) -> Detected | None:
        """Raises SourceError for a header that cannot be used, or a first line longer than a record may be."""
        head, complete = self._head, len(self._head) < HEAD_BYTES
        if not complete and not any(end in head for end in (b"\n", b"\r")):
            wanted = self._options.max_record_bytes
            head += self._stream.read_fully(wanted)
            complete = len(head) < HEAD_BYTES + wanted
            if not complete and not any(end in head for end in (b"\n", b"\r")):
                raise SourceError(f"{self._partition}:1: the first line is longer than {wanted:,} bytes")
        return detect(head, self._options, self._partition, complete=complete and self._stream.failure is None)

    def resume(self, cursor: dict[str, object]) -> Opening:
        """Go on inside an open pass."""
        position = Position.from_json(cursor)
        version = self._stream.version
        fits = position is not None and position.options == self._options.reading_hash()
        if position is None or not fits or not (_is_unchanged(position, version) or version.size > position.size):
            raise self._expired()
        if position.settle is not None and version.size > position.size:
            position = replace(position, place=position.settle, settle=None)
        opening = self._at(position)
        if opening is None:
            raise self._expired()
        return opening

    def begin(self, settled: Position | None) -> Opening:
        """Begin a pass: behind what the last one read, where that is still the same; else at the start."""
        detected = self.detected
        if detected is None and self._stream.failure is not None:
            raise self._stream.failure
        if settled is not None and self._goes_on(settled, detected):
            opening = self._at(replace(settled, coverage="window", settle=None))
            if opening is not None:
                return opening
        place = Place(detected.body_bytes, detected.body_line, "") if detected else Place(0, 1, "")
        tail = go_to(self._stream, place.offset)
        return Opening(self._stream, self._position(replace(place, tail=fingerprint(tail)), detected), tail)

    def _goes_on(self, settled: Position, detected: Detected | None) -> bool:
        version = self._stream.version
        grown = version.size > settled.size
        if not grown and not (settled.held and _is_unchanged(settled, version)):
            return False
        if detected is None or settled.dialect is None or settled.options != self._options.reading_hash():
            return False
        return (detected.dialect, detected.names) == (settled.dialect, settled.names)

    def _at(self, position: Position) -> Opening | None:
        """The stream at the position, if the bytes before it are the same as when it was written down."""
        tail = find_place(self._stream, position)
        if tail is None:
            return None
        version = self._stream.version
        release = position.held and _is_unchanged(position, version)
        fresh = replace(position, size=version.size, mtime_ns=version.mtime_ns, head=fingerprint(self._head))
        return Opening(self._stream, replace(fresh, held=release), tail)

    def _position(self, place: Place, detected: Detected | None) -> Position:
        version = self._stream.version
        return Position(
            place=place,
            size=version.size,
            mtime_ns=version.mtime_ns,
            head=fingerprint(self._head),
            options=self._options.reading_hash(),
            coverage="full",
            dialect=detected.dialect if detected else None,
            names=detected.names if detected else (),
        )

    def _expired(self) -> PassExpiredError:
        return PassExpiredError(f"{self._partition}: the file is not the one that this pass began to read")


def _is_unchanged(position: Position, version: FileVersion) -> bool:
    return (position.size, position.mtime_ns) == (version.size, version.mtime_ns)
