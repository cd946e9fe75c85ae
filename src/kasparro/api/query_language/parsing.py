"""The query string of `GET /data` as a whole. All that is wrong with it is said at once."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import parse_qsl

from kasparro.api.errors import refuse_undecodable, shortened, unknown_parameter
from kasparro.api.query_language.filters import read_filter
from kasparro.api.query_language.names import ATTRIBUTES, field_of, read_fields, read_sort
from kasparro.api.query_language.operands import MAX_PATTERN_CHARACTERS, Refused, text
from kasparro.api.wording import whole_number_expected
from kasparro.core.errors import ParameterError
from kasparro.schemas.pages import MAX_LIMIT, MAX_OFFSET
from kasparro.services.data import COLUMNS, Filter

Format = Literal["json", "ndjson", "csv"]
Count = Literal["exact", "planned", "estimated", "none"]
MAX_FILTERS: Final = 60
MAX_FILTERS_OF_A_FIELD: Final = 3
MAX_PARAMETERS: Final = 100
SHORT_NAMES: Final = {"entity": "entity_key"}
"""Filters that go by a second name."""
_ORDER_VERSION: Final = 1
"""Of what `services.data.order` makes of a sort: positions of another version are for another query."""
_Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query string, read. What was not given is absent from `given`; `identity` names filters, search and sort."""

    filters: tuple[Filter, ...]
    given: dict[str, Any]
    identity: str

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a parameter that is no filter."""
        return self.given.get(name, default)


def parse(query_string: bytes) -> Asked:
    """Read it. Raises ParameterError with every parameter that is wrong."""
    refuse_undecodable(query_string)
    pairs = parse_qsl(query_string.decode("utf-8"), keep_blank_values=True)
    if not pairs:
        return _NOTHING
    if len(pairs) > MAX_PARAMETERS:
        raise ParameterError(
            {shortened(pairs[MAX_PARAMETERS][0]): f"at most {MAX_PARAMETERS} parameters in one request"}
        )
    problems: dict[str, str] = {}
    options = [pair for pair in pairs if pair[0] in _OPTIONS]
    rest = [pair for pair in pairs if pair[0] not in _OPTIONS]
    given = _read_options(options, problems)
    filters = _read_filters(rest, problems)
    if problems:
        raise ParameterError(problems)
    return Asked(filters, given, _identity(rest, options))


def _read_options(pairs: _Pairs, problems: dict[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            problems[name] = "given more than once"
            continue
        given[name] = None
        try:
            given[name] = _OPTIONS[name](value)
        except Refused as refused:
            problems[name] = str(refused)
    if "cursor" in given and "offset" in given:
        problems.setdefault("offset", "cannot be given together with cursor")
    return given


def _read_filters(pairs: _Pairs, problems: dict[str, str]) -> tuple[Filter, ...]:
    filters: list[Filter] = []
    times = Counter(name for name, _ in pairs)
    for name, value in pairs:
        if times[name] > MAX_FILTERS_OF_A_FIELD:
            problems[shortened(name)] = f"at most {MAX_FILTERS_OF_A_FIELD} filters of one field"
            continue
        column = SHORT_NAMES.get(name, name)
        if column not in COLUMNS and not name.startswith(ATTRIBUTES):
            problems[shortened(name)] = unknown_parameter(shortened(name), _KNOWN)
            continue
        try:
            filters.append(read_filter(field_of(column), value))
        except Refused as refused:
            problems.setdefault(shortened(name), str(refused))
    if len(filters) > MAX_FILTERS:
        problems[shortened(pairs[MAX_FILTERS][0])] = f"at most {MAX_FILTERS} filters in one request"
    return tuple(filters)


def _identity(filters: _Pairs, options: _Pairs) -> str:
    """The same for two queries that list the same records in the same order."""
    return json.dumps([_ORDER_VERSION, sorted(filters), sorted(pair for pair in options if pair[0] in {"q", "sort"})])


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if re.fullmatch("-?[0-9]{1,30}", value) and lowest <= int(value) <= highest:
            return int(value)
        raise Refused(whole_number_expected(lowest, highest))

    return read


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value in choices:
            return value
        raise Refused(f"expected one of {', '.join(choices)}")

    return read


def _search(value: str) -> str:
    if not 1 <= len(value) <= MAX_PATTERN_CHARACTERS:
        raise Refused(f"expected 1 to {MAX_PATTERN_CHARACTERS} characters")
    return text(value)


def _cursor(value: str) -> str:
    if not value:
        raise Refused("expected the next_cursor of a page")
    return value


_OPTIONS: Final = cast(
    "dict[str, Callable[[str], Any]]",
    {
        "limit": _whole_number(1, MAX_LIMIT),
        "offset": _whole_number(0, MAX_OFFSET),
        "cursor": _cursor,
        "sort": read_sort,
        "fields": read_fields,
        "q": _search,
        "count": _one_of(get_args(Count)),
        "format": _one_of(get_args(Format)),
    },
)
_KNOWN: Final = [*_OPTIONS, *COLUMNS, *SHORT_NAMES, "attributes.<name>"]
_NOTHING: Final = Asked((), {}, _identity([], []))
