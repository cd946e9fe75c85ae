"""What differs between two JSON values, place by place."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, cast

Change = Literal["added", "removed", "changed"]
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place, as a JSON Pointer (RFC 6901), and what stood and stands there; None also where there is nothing."""

    pointer: str
    change: Change
    before: Any
    after: Any


def differences(before: Any, after: Any, *, most: int) -> tuple[list[Difference], bool]:
    """The first `most` places at which two values differ, members by name, elements by number; and if there are more.

    Numbers are equal when they are written the same: 1.5 and 1.50 are two payloads.
    """
    found = list(islice(_between("", before, after), most + 1))
    return found[:most], len(found) > most


def _between(pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(pointer, cast("dict[str, Any]", before), cast("dict[str, Any]", after))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _members(pointer, _numbered(before), _numbered(after))
    elif before is _ABSENT:
        yield Difference(pointer, "added", None, after)
    elif after is _ABSENT:
        yield Difference(pointer, "removed", before, None)
    elif _written(cast("object", before)) != _written(cast("object", after)):
        yield Difference(pointer, "changed", before, after)


def _written(value: object) -> tuple[str, str]:
    return type(value).__name__, str(value)


def _numbered(elements: Any) -> dict[Any, Any]:
    return dict(enumerate(cast("list[Any]", elements)))


def _members(pointer: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[Difference]:
    for name in {**before, **after}:
        escaped = str(name).replace("~", "~0").replace("/", "~1")
        yield from _between(f"{pointer}/{escaped}", before.get(name, _ABSENT), after.get(name, _ABSENT))
