"""Judging the live records of a source by its quality checks: one scan for all checks of single records.

A record without a value is looked at by `not_null` alone. What fails is counted, and the first of it shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.schemas.quality import Check, Example
from kasparro.schemas.readings import shown

MOST_EXAMPLES: Final = 5
_TEXTS: Final = ("record_key", "title", "body", "url", "author", "category", "unit", "entity_key")
_COLUMNS: Final[Mapping[str, str]] = {name: name for name in (*_TEXTS, "tags", "value", "occurred_at")}
_SHOWN: Final[Mapping[str, str]] = {
    "tags": "to_jsonb(tags)::text",
    "value": "trim_scale(value)::text",
    "occurred_at": """to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}
_ATTRIBUTE: Final = "attributes."
_NUMBER: Final = r"'^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?\s*$'"
_AS_NUMBER: Final = f"""
(case when jsonb_typeof($json) = 'number' or (length($text) < 1000 and $text ~ {_NUMBER}) then ($text)::numeric end)
"""
"""The number that an attribute is, or that its text reads as; null for what is none."""
_LIVE: Final = "from unified_data where source_id = $1::integer and deleted_at is null"
_WITHOUT_JIT: Final = "select set_config('jit', 'off', true)"
_NEWEST: Final[Mapping[str, str]] = {
    name: f"""
select record_key, {name} as moment, run_id, raw_id {_LIVE} and {name} <= $2::timestamptz order by {name} desc limit 1
"""
    for name in ("occurred_at", "last_changed_at")
}


@dataclass(slots=True)
class _Arguments:
    """Values of a statement, each with its place."""

    values: list[Any]

    def add(self, value: Any, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


@dataclass(frozen=True, slots=True)
class Count:
    """How many records a check looked at, how many of these fail it, and some of them."""

    checked: int
    failed: int
    examples: Sequence[Example] = field(default_factory=list[Example])


@dataclass(frozen=True, slots=True)
class Scan:
    """All live records, and the count of each check of single records, by its position."""

    live: int
    counts: Mapping[int, Count]


async def scan(connection: Connection, source_id: int, checks: Mapping[int, Check], at: datetime) -> Scan:
    """Judge all checks of records, `unique` included, by their positions; inside a transaction."""
    await connection.execute(_WITHOUT_JIT)
    arguments, columns = _Arguments([source_id]), ["count(*) as live"]
    for position, check in checks.items():
        fails = "false" if check.type == "unique" else _fails(check, arguments, at)
        columns += [
            f"count(*) filter (where {_has_value(check, arguments)}) as c{position}",
            f"count(*) filter (where {fails}) as f{position}",
        ]
    row = await connection.fetchrow(f"select {', '.join(columns)} {_LIVE}", *arguments.values)
    assert row is not None
    counts = {each: Count(row[f"c{each}"], row[f"f{each}"]) for each in checks}
    for position, check in checks.items():
        if check.type == "unique":
            counts[position] = await _repeats(connection, source_id, check, counts[position].checked)
        elif counts[position].failed:
            counts[position] = await _with_examples(connection, source_id, check, counts[position], at)
    return Scan(row["live"], counts)


async def newest(connection: Connection, source_id: int, check: Check, latest: datetime) -> Example | None:
    """The record with the newest time that is no later than `latest`; its time is the value, in ISO 8601."""
    name = check.fields[0]
    row = await connection.fetchrow(_NEWEST[name], source_id, latest)
    if row is None:
        return None
    return Example(row["record_key"], {name: row["moment"].isoformat()}, row["run_id"], row["raw_id"])


async def wrong_pattern(connection: Connection, pattern: str) -> str | None:
    """Why PostgreSQL does not read this as a regular expression; None when it does. Outside of a transaction."""
    import asyncpg

    try:
        await connection.fetchval("select '' ~ $1::text", pattern)
    except asyncpg.InvalidRegularExpressionError as error:
        return str(error)
    return None


async def _with_examples(connection: Connection, source_id: int, check: Check, count: Count, at: datetime) -> Count:
    arguments = _Arguments([source_id])
    columns, fails = _shown_values(check, arguments), _fails(check, arguments, at)
    found = f"select record_key, run_id, raw_id, {columns} {_LIVE} and ({fails})"
    statement = f"{found} order by id limit {MOST_EXAMPLES}"
    return _with(count, check, await connection.fetch(statement, *arguments.values))


async def _repeats(connection: Connection, source_id: int, check: Check, checked: int) -> Count:
    """Records that share their values with another one, and the first and last record of the first such groups."""
    arguments = _Arguments([source_id])
    values = ", ".join(_compared(name, arguments) for name in check.fields)
    statement = f"""
with repeated as materialized (
    select count(*) as times, min(id) as first, max(id) as last
    {_LIVE} and {_has_value(check, arguments)} group by {values} having count(*) > 1)
select coalesce(sum(times), 0)::bigint as failed, (
    select string_agg(first || ' ' || last, ' ' order by first)
    from (select first, last from repeated order by first limit {MOST_EXAMPLES // 2}) few) as ids
from repeated
"""  # noqa: S608
    row = await connection.fetchrow(statement, *arguments.values)
    assert row is not None
    count = Count(checked, row["failed"])
    if not row["failed"]:
        return count
    arguments = _Arguments([source_id, [int(number) for number in row["ids"].split()]])
    columns = _shown_values(check, arguments)
    found = f"select record_key, run_id, raw_id, {columns} {_LIVE} and id = any($2::bigint[])"
    ordered = f"{found} order by array_position($2::bigint[], id)"
    return _with(count, check, await connection.fetch(ordered, *arguments.values))


def _with(count: Count, check: Check, rows: Sequence[Any]) -> Count:
    def values(row: Any) -> dict[str, str | None]:
        found = {name: row[f"v{place}"] for place, name in enumerate(check.fields)}
        return {name: None if value is None else shown(value) for name, value in found.items()}

    examples = [Example(row["record_key"], values(row), row["run_id"], row["raw_id"]) for row in rows]
    return Count(count.checked, count.failed, examples)


def _fails(check: Check, arguments: _Arguments, at: datetime) -> str:
    """A condition that is true of records that fail, and not of those without a value, but for `not_null`."""
    return _CONDITIONS[check.type](check, arguments, at)


def _lacks_value(check: Check, arguments: _Arguments, _at: datetime) -> str:
    return f"not ({_all_there(check.fields, arguments)})"


def _is_none_of(check: Check, arguments: _Arguments, _at: datetime) -> str:
    name = check.fields[0]
    if name == "tags":
        return f"not tags <@ {arguments.add(list(check.texts), 'text[]')}"
    if name in _TEXTS:
        return f"{name} <> all ({arguments.add(list(check.texts), 'text[]')})"
    numbers = arguments.add([str(number) for number in check.numbers], "text[]") + "::numeric[]"
    if name == "value":
        return f"value <> all ({numbers})"
    text, json = _text_of(name, arguments), _json_of(name, arguments)
    is_other = f"case jsonb_typeof({json}) when 'number' then {text}::numeric <> all ({numbers}) else true end"
    return f"{text} <> all ({arguments.add(list(check.texts), 'text[]')}) and {is_other}"


def _is_beyond(check: Check, arguments: _Arguments, at: datetime) -> str:
    """What is compared stands there once: the number of an attribute is dear. A range may end before it begins."""
    name, high = check.fields[0], at if check.until_now else check.high
    if isinstance(check.low, datetime) and check.until_now and check.low > at:
        return f"{name} is not null"
    kind, range_of = ("timestamptz", "tstzrange") if name == "occurred_at" else ("numeric", "numrange")
    ends = f"{range_of}({arguments.add(check.low, kind)}, {arguments.add(high, kind)}, '[]')"
    if name in _COLUMNS:
        return f"not {name} <@ {ends}"
    text, json = _text_of(name, arguments), _json_of(name, arguments)
    number = _AS_NUMBER.replace("$text", text).replace("$json", json)
    return f"{text} is not null and coalesce(not {number} <@ {ends}, true)"


def _does_not_match(check: Check, arguments: _Arguments, _at: datetime) -> str:
    return f"{_text_of(check.fields[0], arguments)} !~ {arguments.add(check.pattern, 'text')}"


_CONDITIONS: Final[Mapping[str, Callable[[Check, _Arguments, datetime], str]]] = {
    "not_null": _lacks_value,
    "in": _is_none_of,
    "between": _is_beyond,
    "matches": _does_not_match,
}


def _has_value(check: Check, arguments: _Arguments) -> str:
    """A condition that is true of the records that a check is about."""
    return "true" if check.type == "not_null" else _all_there(check.fields, arguments)


def _all_there(names: Sequence[str], arguments: _Arguments) -> str:
    return " and ".join(
        "coalesce(cardinality(tags), 0) > 0" if name == "tags" else f"{_text_of(name, arguments)} is not null"
        for name in names
    )


def _text_of(name: str, arguments: _Arguments) -> str:
    """The column; of an attribute its text, null where it is absent or null."""
    if name in _COLUMNS:
        return _COLUMNS[name]
    return f"(attributes ->> {arguments.add(name.removeprefix(_ATTRIBUTE), 'text')})"


def _json_of(name: str, arguments: _Arguments) -> str:
    return f"(attributes -> {arguments.add(name.removeprefix(_ATTRIBUTE), 'text')})"


def _compared(name: str, arguments: _Arguments) -> str:
    """What two records have in common: numbers by value, in attributes too."""
    return _COLUMNS[name] if name in _COLUMNS else _json_of(name, arguments)


def _shown_values(check: Check, arguments: _Arguments) -> str:
    """The fields that the check is about as texts, none of them long."""
    values = (_SHOWN.get(name) or _text_of(name, arguments) for name in check.fields)
    return ", ".join(f"left({value}, 300) as v{place}" for place, value in enumerate(values))
