"""Which fields of a record a place in its payload feeds, told from the text of a stored mapping."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast

from kasparro.ingestion.drift.from_payloads import member_path
from kasparro.ingestion.expression_paths import reads_column, reads_of

_ALL: Final = "*"
_REST: Final = "attributes"


@dataclass(frozen=True, slots=True)
class FedFields:
    """`paths` are by field of the record the places that its mapping reads; `has_rest` where attributes take all else.

    Feeds put much into fields that no mapping names: of those nothing is told.
    """

    paths: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    has_rest: bool = False

    @classmethod
    def of(cls, mapping_text: str | None, source_type: str) -> Self:
        """From a mapping's canonical JSON, as `mapping_versions` keeps it."""
        mapping: dict[str, Any] = json.loads(mapping_text or "{}")
        fields = cast("dict[str, Any]", mapping.get("map") or {})
        is_column = source_type == "csv"
        found = {name: frozenset(_reads(target, is_column=is_column)) for name, target in fields.items()}
        key = frozenset(path for name in mapping.get("key", ()) for path in _of_text(name, is_column=is_column))
        if key:
            found["record_key"] = key
        return cls({name: paths for name, paths in found.items() if paths}, fields.get(_REST) == _ALL)

    def fed_by(self, pointer: str) -> list[str]:
        """Names of the fields that the place, a JSON Pointer, feeds, or something in it, or around it."""
        place = _path(pointer)
        fed = sorted(name for name, paths in self.paths.items() if any(_touch(place, path) for path in paths))
        return fed or ([_REST] if self.has_rest else [])


def _reads(target: Any, *, is_column: bool) -> Iterator[str]:
    if isinstance(target, str):
        yield from () if target == _ALL else _of_text(target, is_column=is_column)
    elif isinstance(target, list):
        for each in cast("list[Any]", target):
            yield from _reads(each, is_column=is_column)
    elif isinstance(target, dict):
        yield from _members(cast("dict[str, Any]", target), is_column=is_column)


def _members(target: dict[str, Any], *, is_column: bool) -> Iterator[str]:
    """Of `{expr: ..}`, of a constant, which reads nothing, or of attributes, each with a target."""
    if target.keys() == {"expr"} and isinstance(target["expr"], str):
        yield from map(_plain, reads_of(target["expr"]).paths)
    elif target.keys() != {"value"}:
        for each in target.values():
            yield from _reads(each, is_column=is_column)


def _of_text(text: str, *, is_column: bool) -> frozenset[str]:
    return frozenset(map(_plain, (reads_column(text) if is_column else reads_of(text)).paths))


def _plain(path: str) -> str:
    """A path without its marks of lists and of members that are data."""
    return path.replace("[]", "").replace(".*", "")


def _path(pointer: str) -> str:
    path = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not path or not name.isdigit():
            path = member_path(path, name)
    return _plain(path)


def _touch(place: str, path: str) -> bool:
    return place == path or place.startswith(path + ".") or path.startswith(place + ".")
