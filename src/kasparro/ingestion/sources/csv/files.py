"""A file as a bounded stream of decompressed bytes, and the fingerprints that tell whether it is still the same.

What is read is the file as long as it was when it was opened: what is appended meanwhile is left to the next pass.
"""

import contextlib
import glob
import os
import stat
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kasparro.core.errors import PassExpiredError, SourceError

FINGERPRINT_BYTES: Final = 64 * 1024
BLOCK_BYTES = 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZLIB_GZIP: Final = 16 + zlib.MAX_WBITS
_KINDS: Final = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
_HINTS: Final = {
    stat.S_IFDIR: "name the files in it, such as `folder/*.csv`",
    stat.S_IFIFO: "write it into a file first: what is read must be there again after an interruption",
}


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What a stat tells about a file, without reading it."""

    size: int
    mtime_ns: int
    inode: tuple[int, int]


def matching_files(pattern: str, base_dir: Path) -> list[str]:
    """Files that `pattern` names, as sorted POSIX paths relative to `base_dir`.

    Raises SourceError when it names something that is no file, and for a folder that cannot be looked into: to leave
    out its files would be to lose records without a word.
    """
    literal = base_dir / pattern
    mode = _mode(literal, base_dir)
    if mode is not None and not stat.S_ISREG(mode):
        raise SourceError(f"{pattern}: is {_kind(mode)}, not a file", hint=_HINTS.get(stat.S_IFMT(mode)))
    found = [literal] if mode is not None else _glob(pattern, base_dir)
    files = [path for path in found if stat.S_ISREG(_mode(path, base_dir) or 0)]
    return sorted({Path(os.path.relpath(path, base_dir)).as_posix() for path in files})


def _glob(pattern: str, base_dir: Path) -> list[Path]:
    """Unlike Path.glob, this takes absolute patterns and leaves out hidden files; and it says what it cannot read."""
    folders = glob.glob(os.path.dirname(pattern) or ".", root_dir=base_dir, recursive=True)  # noqa: PTH120, PTH207
    for folder in (base_dir / name for name in folders):
        if stat.S_ISDIR(_mode(folder, base_dir) or 0):
            with _source_errors(folder, base_dir):
                os.scandir(folder).close()
    return [base_dir / match for match in glob.glob(pattern, root_dir=base_dir, recursive=True)]  # noqa: PTH207


def _mode(path: Path, base_dir: Path) -> int | None:
    """Type and permissions of what stands there, or None."""
    with _source_errors(path, base_dir), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return path.stat().st_mode
    return None


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a device")


@contextlib.contextmanager
def _source_errors(path: Path, base_dir: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"{os.path.relpath(path, base_dir)}: {error.strerror}") from error


def version_of(path: Path, partition: str) -> FileVersion:
    """Raises SourceError when the file cannot be looked at."""
    try:
        return _version(path.stat())
    except OSError as error:
        raise SourceError(f"{partition}: {error.strerror}") from error


def fingerprint(data: bytes) -> str:
    """Length and hash of the given bytes."""
    return f"{len(data)}:{blake2b(data, digest_size=16).hexdigest()}"


class FileStream:
    """Decompressed bytes of one file, from its beginning. `version` is the file's when it was opened."""

    def __init__(self, path: Path, partition: str) -> None:
        self._path = path
        self._partition = partition
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise SourceError(f"{partition}: {error.strerror}") from error
        self.version = _version(os.fstat(self._file.fileno()))
        self._unread = self.version.size
        self._gzip = _Gzip() if self._peek(2) == _GZIP_MAGIC else None
        self.failure: SourceError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, or where compressed data is damaged: then `failure` says so."""
        return self._read_raw(size) if self._gzip is None else self._inflate(self._gzip, size)

    def read_fully(self, size: int) -> bytes:
        """`size` bytes, or all that are left."""
        parts: list[bytes] = []
        while size > 0 and (part := self.read(min(size, BLOCK_BYTES))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Leave out `size` bytes; a plain file just seeks."""
        if self._gzip is None:
            self._file.seek(size, os.SEEK_CUR)
            self._unread = max(0, self._unread - size)
            return
        while size > 0 and (part := self.read(min(size, BLOCK_BYTES))):
            size -= len(part)

    def rewind(self) -> None:
        """Back to the beginning."""
        self.failure = None
        self._file.seek(0)
        self._unread = self.version.size
        self._gzip = _Gzip() if self._gzip is not None else None

    def was_touched(self) -> bool:
        """Whether the file was written to since it was opened, if only appended to.

        Raises PassExpiredError when the path holds another file by now, or a shorter one.
        """
        now = version_of(self._path, self._partition)
        if now.inode != self.version.inode or now.size < self.version.size:
            raise self.replaced()
        return now.mtime_ns != self.version.mtime_ns

    def replaced(self) -> PassExpiredError:
        return PassExpiredError(f"{self._partition}: the file was replaced or truncated while it was read")

    def _peek(self, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, 0) if self.version.size >= size else b""

    def _read_raw(self, size: int) -> bytes:
        wanted = min(size, self._unread)
        if wanted == 0:
            return b""
        try:
            data = self._file.read(wanted)
        except OSError as error:
            raise SourceError(f"{self._partition}: {error.strerror}") from error
        if not data:
            raise self.replaced()
        self._unread -= len(data)
        return data

    def _inflate(self, gzip: "_Gzip", size: int) -> bytes:
        try:
            while not (data := gzip.take(size)):
                if not gzip.hungry:
                    continue
                block = self._read_raw(BLOCK_BYTES)
                if not block:
                    gzip.end()
                    return b""
                gzip.give(block)
        except zlib.error as error:
            self.failure = SourceError(f"{self._partition}: the compressed data is damaged or cut off ({error})")
            return b""
        return data


class _Gzip:
    """Members of a gzip file (RFC 1952), one after another, with bounded output."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_ZLIB_GZIP)
        self._input = b""
        self._started = False

    @property
    def hungry(self) -> bool:
        """Whether nothing more comes without more input."""
        return not self._input

    def give(self, block: bytes) -> None:
        self._input += block

    def take(self, size: int) -> bytes:
        """Up to `size` decompressed bytes. Raises zlib.error."""
        if self._inflater.eof:
            self._next_member()
        if not self._input:
            return b""
        self._started = True
        data = self._inflater.decompress(self._input, size)
        self._input = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        return data

    def end(self) -> None:
        """The file ends here. Raises zlib.error when a member does not."""
        if self._started and not self._inflater.eof:
            raise zlib.error("unexpected end")

    def _next_member(self) -> None:
        self._input = self._input.lstrip(b"\x00")  # padding between members
        if self._input:
            self._inflater = zlib.decompressobj(_ZLIB_GZIP)


def _version(found: os.stat_result) -> FileVersion:
    return FileVersion(found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))
