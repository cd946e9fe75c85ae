"""What may be said of a feed's entry: its members are the same in every format, so that a wrong name is a mistake."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from kasparro.schemas.configuration.expressions import JsonPath, first_name
from kasparro.schemas.configuration.mapping import RecordMap
from kasparro.schemas.configuration.nearest import nearest

ENTRY_MEMBERS: Final = (
    "guid", "link", "title", "title_type", "authors", "summary", "summary_type", "content", "categories", "enclosures",
    "published", "published_parsed", "updated", "updated_parsed", "language", "base", "feed", "_key",
)  # fmt: skip
"""The members of `Entry` in ingestion/sources/rss/entry.py."""


def known_member(name: str | None) -> None:
    """Raises PydanticCustomError for a name that is no member of an entry; None cannot be judged."""
    if name is None or name in ENTRY_MEMBERS:
        return
    shown = [member for member in ENTRY_MEMBERS if not member.startswith("_")]
    hint = nearest(name, shown) or f"; members are {', '.join(shown)}"
    raise PydanticCustomError("entry_member", "{reason}", {"reason": f'"{name}" is no member of an entry{hint}'})


def begins_with_member(path: str) -> str:
    """The path or expression. Raises PydanticCustomError where it begins with a name that is no member."""
    known_member(first_name(path))
    return path


def _ignorable(path: str) -> str:
    known_member(path.partition(".")[0])
    return path


EntryPath = Annotated[JsonPath, AfterValidator(begins_with_member)]
"""A path into an entry; expressions that do not begin with a name are not judged."""
EntryMember = Annotated[str, Field(min_length=1), AfterValidator(_ignorable)]
"""A member of an entry, or a dotted path below one."""


class EntryMap(RecordMap[EntryPath]):
    """Targets, each filled from a path into an entry, such as `guid` or `feed.title`, from `{expr: JMESPath}`, or by
    `{value: constant}`."""
