"""Names of fields: columns, and paths inside `attributes`; lists of them, as `sort` and `fields` take them."""

import difflib
import re
from typing import Final

from kasparro.api.errors import shortened
from kasparro.api.query_language.operands import Refused
from kasparro.services.data import COLUMNS, Field, SortKey

ATTRIBUTES: Final = "attributes."
MAX_SORT_KEYS: Final = 5
MAX_FIELDS: Final = 40
MAX_PATH_CHARACTERS: Final = 200
MAX_PATH_STEPS: Final = 10
_STEP: Final = re.compile(r'(?:"([^"\x00]+)"|([^".\x00]+))(\.|$)')
_LISTED: Final = re.compile(r'((?:[^",]|"[^"]*")*)(,|$)')
_FIELDS: Final = {name: Field(name, column) for name, column in COLUMNS.items()}


def field_of(name: str) -> Field:
    """The field of this name. Raises Refused, naming the nearest."""
    known = _FIELDS.get(name)
    if known is not None:
        return known
    if name.startswith(ATTRIBUTES):
        return Field(name, COLUMNS["attributes"], _path(name))
    near = difflib.get_close_matches(shortened(name), COLUMNS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(COLUMNS)} and attributes.<name>"
    raise Refused(f"{shortened(name)!r} is no field; {hint}")


def read_sort(value: str) -> tuple[SortKey, ...]:
    """`-occurred_at,title`: names, with a minus for descending. Raises Refused.

    What cannot make a difference is left out: a field named again, and all that follows id, which is unique.
    """
    names = _listed(value, MAX_SORT_KEYS)
    keys: dict[str, SortKey] = {}
    for name in names:
        field = _sortable(name.removeprefix("-"))
        if "id" not in keys:
            keys.setdefault(field.name, SortKey(field, name.startswith("-")))
    return tuple(keys.values())


def read_fields(value: str) -> tuple[Field, ...]:
    """`id,title,attributes.name`: names. Raises Refused."""
    fields = tuple(field_of(name) for name in _listed(value, MAX_FIELDS))
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"{shortened(name)} is named more than once")
    return fields


def _listed(value: str, at_most: int) -> list[str]:
    """What stands between commas that are not in quotes."""
    names, place = list[str](), 0
    while match := _LISTED.match(value, place):
        names.append(match[1])
        if len(names) > at_most:
            raise Refused(f"at most {at_most} fields")
        if not match[2]:
            return names
        place = match.end()
    raise Refused("a quote is not closed")


def _sortable(name: str) -> Field:
    field = field_of(name)
    if field.column.kind == "tags" or (field.column.kind == "attributes" and not field.path):
        raise Refused(
            f"{name} has no order" + ("; name a value inside it" if field.column.kind == "attributes" else "")
        )
    return field


def _path(name: str) -> tuple[str, ...]:
    """Steps between dots; a step that holds a dot stands in double quotes."""
    rest, place, steps = name.removeprefix(ATTRIBUTES), 0, list[str]()
    while len(name) <= MAX_PATH_CHARACTERS and len(steps) < MAX_PATH_STEPS and (match := _STEP.match(rest, place)):
        steps.append(match[1] or match[2])
        if not match[3]:
            return tuple(steps)
        place = match.end()
    raise Refused(
        f"{shortened(name)!r} is no path: attributes.name or attributes.name.inner, "
        f"at most {MAX_PATH_STEPS} steps and {MAX_PATH_CHARACTERS} characters"
    )
