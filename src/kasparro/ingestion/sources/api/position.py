"""Cursors inside a pass and states after one: what is asked for next, in which window, and what was seen so far."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Self

from kasparro.core.errors import PassExpiredError
from kasparro.ingestion.http.contract import Validators
from kasparro.ingestion.source import Json, Start
from kasparro.ingestion.sources.api.options import ApiOptions, Incremental, OffsetPagination, PagePagination
from kasparro.ingestion.sources.api.stamps import Stamp, earlier, parse_stamp, stamp_text


@dataclass(frozen=True, slots=True)
class Trail:
    """Finds out whether tokens go in a circle, in constant memory (Brent's algorithm).

    `mark` is the hash of a token seen earlier; it moves on after `power` steps, and `power` doubles.
    """

    mark: str
    power: int = 1
    steps: int = 0

    def step(self, token: str) -> "Trail | None":
        """The trail after this token; None when it is the marked one: then the tokens go in a circle."""
        token_hash = short_hash(token.encode())
        if token_hash == self.mark:
            return None
        if self.steps + 1 == self.power:
            return Trail(token_hash, self.power * 2)
        return replace(self, steps=self.steps + 1)


@dataclass(frozen=True, slots=True)
class Validated:
    """What a server gave to ask later whether anything changed, and the hash of the URL that it gave it for."""

    etag: str | None
    last_modified: str | None
    url_hash: str

    def validators(self) -> Validators:
        return Validators(self.etag, self.last_modified)


@dataclass(frozen=True, slots=True)
class Position:
    """Behind `pages` pages of a pass; everything that follows can be read from here.

    `at` asks for the next page: a number, a token or a URL (None: the first page of those that have none yet).
    `counted`: a page was asked for by its place among the others, where one slips past when others are deleted.
    `candidate` is the greatest time seen, in the source's form; `last` the hash of the last page that held records.
    `timed`: a record had a time that can be a watermark. `began` is when the first page was asked for, by the server's
    clock (ISO 8601).
    """

    options: str
    since: str | None = None
    until: str | None = None
    began: str | None = None
    at: int | str | None = None
    pages: int = 0
    done: bool = False
    counted: bool = False
    candidate: str | None = None
    timed: bool = False
    last: str | None = None
    trail: Trail | None = None
    validated: Validated | None = None

    def to_json(self) -> Json:
        """A cursor."""
        return {
            "options": self.options,
            "window": {"since": self.since, "until": self.until, "began": self.began},
            "page": {
                "at": self.at,
                "pages": self.pages,
                "done": self.done,
                "counted": self.counted,
                "last": self.last,
            },
            "trail": asdict(self.trail) if self.trail else None,
            "candidate": self.candidate,
            "timed": self.timed,
            "validated": asdict(self.validated) if self.validated else None,
        }

    def settled_json(self, options: ApiOptions) -> Json:
        """The state after the pass: here alone the watermark moves to the candidate."""
        validated = asdict(self.validated) if self.validated else None
        return {"options": options.watching_hash(), "watermark": self.candidate, "validated": validated}

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Raises KeyError, TypeError or ValueError for an object that `to_json` did not write."""
        page, window = value["page"], value["window"]
        return cls(
            options=str(value["options"]),
            since=window["since"],
            until=window["until"],
            began=window["began"],
            at=page["at"],
            pages=int(page["pages"]),
            done=bool(page["done"]),
            counted=bool(page["counted"]),
            candidate=value["candidate"],
            timed=bool(value.get("timed", True)),  # cursors did not always have it: unknown is no reason to warn
            last=page["last"],
            trail=Trail(**value["trail"]) if value["trail"] else None,
            validated=Validated(**value["validated"]) if value["validated"] else None,
        )


def begin(
    options: ApiOptions, start: Start, now: datetime, window: tuple[datetime, datetime] | None = None
) -> Position:
    """Where a read begins: in `window`, or by what stands.

    Raises PassExpiredError for a cursor that was written under other options.
    """
    options_hash = options.reading_hash()
    if start.cursor is not None:
        position = _resumed(start.cursor)
        if position is None or position.options != options_hash:
            raise PassExpiredError(f"{options.partition()}: the position of the open pass does not fit the source")
        return position
    pagination = options.pagination
    first = pagination.start if isinstance(pagination, PagePagination | OffsetPagination) else None
    settled = start.settled if start.settled and start.settled.get("options") == options.watching_hash() else {}
    validated = settled.get("validated")
    position = Position(options_hash, at=first, validated=Validated(**validated) if validated else None)
    if options.incremental is None:
        return position
    if window is not None:
        return _in_given_window(position, options.incremental, window)
    return _in_window(position, options.incremental, settled, now)


def short_hash(data: bytes) -> str:
    """16 hexadecimal digits."""
    return blake2b(data, digest_size=8).hexdigest()


def _resumed(cursor: Json) -> Position | None:
    try:
        return Position.from_json(cursor)
    except (KeyError, TypeError, ValueError):
        return None


def _in_given_window(position: Position, incremental: Incremental, window: tuple[datetime, datetime]) -> Position:
    since, until = (stamp_text(moment, incremental.format) for moment in window)
    return replace(position, since=since, until=until if incremental.until_param else None)


def _in_window(position: Position, incremental: Incremental, settled: dict[str, Any], now: datetime) -> Position:
    """The window of a new pass: from the last one's watermark, minus the lookback, to now if the end is sent."""
    watermark: Stamp | None = parse_stamp(settled.get("watermark"), incremental.format)
    since = earlier(watermark, incremental.lookback, incremental.format) if watermark else incremental.initial
    until = stamp_text(now, incremental.format) if incremental.until_param else None
    return replace(position, since=since, until=until, candidate=watermark.text if watermark else None)
