"""Cursors and settled states: a place in the decompressed stream, and what proves that it still means the same."""

from dataclasses import dataclass
from typing import Any, Self

from kasparro.ingestion.source import Coverage, Json
from kasparro.ingestion.sources.csv.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Place:
    """Between two records: `offset` decompressed bytes lie before it, the next physical line is `line` (from 1).

    `tail` is the fingerprint of the up to 64 KiB before it.
    """

    offset: int
    line: int
    tail: str

    def to_json(self) -> Json:
        return {"offset": self.offset, "line": self.line, "tail": self.tail}

    @classmethod
    def from_json(cls, value: Json) -> Self:
        return cls(int(value["offset"]), int(value["line"]), str(value["tail"]))


@dataclass(frozen=True, slots=True)
class Position:
    """A cursor inside a pass, or the state after one.

    `settle` is where the next pass has to begin when that is before `place`: the last line had no line end yet.
    `held`: in a state, that line was not delivered; in a cursor, this pass delivers it. `reread`: the pass that begins
    here, or has begun so, reads what an earlier one may have rejected while it was being written. `dialect` None: there
    was nothing yet to detect it on.
    """

    place: Place
    size: int
    mtime_ns: int
    head: str
    options: str
    coverage: Coverage
    dialect: Dialect | None
    names: tuple[str, ...]
    settle: Place | None = None
    held: bool = False
    reread: bool = True

    def to_json(self) -> Json:
        fingerprint = {"size": self.size, "mtime_ns": self.mtime_ns, "head": self.head, "tail": self.place.tail}
        return {
            "offset": self.place.offset,
            "line": self.place.line,
            "fingerprint": fingerprint,
            "options": self.options,
            "coverage": self.coverage,
            "dialect": self.dialect.to_json() if self.dialect else None,
            "names": list(self.names),
            "settle": self.settle.to_json() if self.settle else None,
            "held": self.held,
            "reread": self.reread,
        }

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """None for an object that was not written by this version's `to_json`."""
        try:
            return cls._from_json(value)
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _from_json(cls, value: Json) -> Self:
        fingerprint: dict[str, Any] = value["fingerprint"]
        int(str(fingerprint["head"]).partition(":")[0])
        return cls(
            place=Place.from_json({**value, "tail": fingerprint["tail"]}),
            size=int(fingerprint["size"]),
            mtime_ns=int(fingerprint["mtime_ns"]),
            head=str(fingerprint["head"]),
            options=str(value["options"]),
            coverage=value["coverage"],
            dialect=Dialect.from_json(value["dialect"]) if value["dialect"] else None,
            names=tuple(value["names"]),
            settle=Place.from_json(value["settle"]) if value["settle"] else None,
            held=bool(value["held"]),
            reread=bool(value.get("reread", True)),
        )
