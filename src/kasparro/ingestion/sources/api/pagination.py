"""From one page to the next: where it is, whether there is one, and whether the pages go in a circle."""

from dataclasses import dataclass, replace
from typing import Any, Final

from kasparro.core.errors import SourceError
from kasparro.ingestion.sources.api.options import (
    ApiOptions,
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    OffsetPagination,
    PagePagination,
)
from kasparro.ingestion.sources.api.position import Position, Trail, short_hash
from kasparro.ingestion.sources.api.requests import stored_url
from kasparro.ingestion.sources.api.urls import is_counted
from kasparro.schemas.readings import shown

MAX_NAME_CHARACTERS: Final = 16_384


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page tells of where to go on. `url` is its URL for messages, `page_url` the one it really came from.

    `digest` is a hash of its records, None without any; `following` what stands where the next page is named.
    """

    url: str
    page_url: str
    count: int
    digest: str | None
    following: Any


def advance(options: ApiOptions, position: Position, facts: PageFacts) -> Position:
    """The position behind a page.

    A short page ends nothing, since servers cap and filter: numbered pages end with an empty one, the others where no
    next one is named. Raises SourceError for pages that repeat, for more than `max_pages`, and for a next page that
    cannot be asked for.
    """
    if facts.digest is not None and facts.digest == position.last:
        raise _repeats(facts, f"page {position.pages + 1} holds the same records as the page before")
    behind = replace(position, pages=position.pages + 1, last=facts.digest or position.last)
    at: int | str | None = _next_token(options, facts)
    if isinstance(options.pagination, PagePagination | OffsetPagination):
        at = _next_number(options.pagination, position, facts.count)
    if isinstance(at, str):
        behind, at = _followed(behind, position, at, facts)
    if at is None:
        return replace(behind, at=None, trail=None, done=True)
    if behind.pages >= options.max_pages:
        raise SourceError(f"{facts.url}: there are more than {options.max_pages} pages", hint="raise max_pages")
    return replace(behind, at=at, counted=position.counted or is_counted(at, facts.page_url))


def _next_number(pagination: PagePagination | OffsetPagination, position: Position, count: int) -> int | None:
    """Offsets move on by what came, not by what was asked for: a server may give less."""
    assert isinstance(position.at, int)
    return None if not count else position.at + (1 if isinstance(pagination, PagePagination) else count)


def _next_token(options: ApiOptions, facts: PageFacts) -> str | None:
    following, pagination = facts.following, options.pagination
    if following is None or following is False or following == "":
        return None
    if isinstance(pagination, CursorPagination):
        return _storable(_token(following, facts.url), facts.url)
    if isinstance(pagination, NextUrlPagination | LinkHeaderPagination):
        if not isinstance(following, str):
            raise SourceError(f"{facts.url}: the next page's URL is no text, but {shown(following)}")
        return stored_url(options, _storable(following, facts.url), facts.page_url)
    return None


def _storable(name: str, url: str) -> str:
    """What names the next page becomes part of every cursor: it must be of a sane size, and text that can be stored."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise SourceError(f"{url}: what names the next page has {len(name):,} characters: {shown(name)}")
    if not name.isprintable():
        raise SourceError(f"{url}: what names the next page holds control characters: {shown(name)}")
    return name


def _token(value: Any, url: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SourceError(f"{url}: the next page's token is neither text nor an integer, but {shown(value)}")
    return str(value)


def _followed(behind: Position, position: Position, token: str, facts: PageFacts) -> tuple[Position, str | None]:
    """The position with the token on its trail. A token that was there before ends an empty page, and else fails."""
    trail = Trail(short_hash(token.encode())) if position.trail is None else position.trail.step(token)
    if trail is not None and token != position.at:
        return replace(behind, trail=trail), token
    if facts.count:
        raise _repeats(facts, f"page {behind.pages} names a next page that was read before: {shown(token)}")
    return behind, None


def _repeats(facts: PageFacts, reason: str) -> SourceError:
    return SourceError(
        f"{facts.url}: the pages repeat: {reason}", hint="does the server know the parameters of the pagination?"
    )
