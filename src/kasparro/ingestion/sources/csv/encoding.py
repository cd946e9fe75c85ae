"""Which characters a file's bytes stand for: byte order mark, else UTF-8, else an educated guess that says so."""

import codecs
from dataclasses import dataclass

from kasparro.core.errors import SourceError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with the mark of UTF-16 LE, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_ASCII = bytes(range(128))
_FALLBACK = "cp1252"
_NOISE = b"\xff\xfe\x81\x8d\x8f\x90\x9d"
"""Bytes that text in a one-byte encoding hardly ever holds: alone they speak for damage, not for an encoding."""
_GUESSABLE = ("cp125", "iso8859", "koi8", "big5", "gb", "shift_jis", "euc", "cp932", "cp949", "cp950", "cp874")


@dataclass(frozen=True, slots=True)
class Encoding:
    """`reason` says how it was found, for people."""

    name: str
    bom_bytes: int
    reason: str


def find_encoding(head: bytes, configured: str | None, locator: str) -> Encoding:
    """The encoding of the file whose first bytes are `head`. Raises SourceError for one that cannot be streamed."""
    mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
    if configured is not None:
        name = _checked(configured, marked, locator)
        return Encoding(name, len(mark) if name == marked else 0, "configured")
    if mark:
        return Encoding(marked, len(mark), "byte order mark")
    wide = _wide_without_mark(head)
    return Encoding(wide, 0, "pattern of zero bytes") if wide else _narrow(head)


def _checked(configured: str, marked: str, locator: str) -> str:
    try:
        name = codecs.lookup(configured).name.removesuffix("-sig")
    except LookupError:
        raise SourceError(f"{locator}: encoding: {configured!r} is unknown") from None
    if name in ("utf-16", "utf-32"):
        name = marked if marked.startswith(name) else f"{name}-le"
    if name not in _WIDE and not _extends_ascii(name):
        raise SourceError(f"{locator}: encoding: {configured!r} cannot be read as a stream; convert the file to UTF-8")
    return name


def _extends_ascii(name: str) -> bool:
    """Whether lines can be found in the bytes themselves: stateless, and ASCII bytes mean ASCII."""
    if name.startswith(("iso2022", "hz", "utf-7", "utf_7")):
        return False
    try:
        return _ASCII.decode(name) == _ASCII.decode("ascii")
    except (UnicodeDecodeError, LookupError):
        return False


def _wide_without_mark(head: bytes) -> str:
    """UTF-16 of mostly Latin text has a zero in nearly every other byte, and hardly any in the others."""
    pairs = len(head) // 2
    if pairs < 4:
        return ""
    even, odd = head[0 : pairs * 2 : 2].count(0), head[1 : pairs * 2 : 2].count(0)
    if odd > 0.7 * pairs and even < 0.05 * pairs:
        return "utf-16-le"
    return "utf-16-be" if even > 0.7 * pairs and odd < 0.05 * pairs else ""


def _narrow(head: bytes) -> Encoding:
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head)
    if text.isascii():
        return Encoding("utf-8", 0, "plain ASCII so far")
    broken = sum("\udc80" <= character <= "\udcff" for character in text)
    sound = sum(character > "\x7f" for character in text) - broken
    if broken == 0:
        return Encoding("utf-8", 0, "valid UTF-8")
    if sound > broken or all(byte in _NOISE for byte in head if byte > 0x7F):
        return Encoding("utf-8", 0, "UTF-8 with some broken bytes")
    return _guessed(head)


def _guessed(head: bytes) -> Encoding:
    from charset_normalizer import from_bytes

    best = from_bytes(head[: head.rfind(b"\n") + 1] or head).best()
    name = codecs.lookup(best.encoding).name if best is not None else _FALLBACK
    if best is None or not name.startswith(_GUESSABLE) or not _extends_ascii(name):
        return Encoding(_FALLBACK, 0, "not valid UTF-8, taken for the most common alternative")
    return Encoding(name, 0, "not valid UTF-8, guessed from its letters")
