"""The one table of what a record shows: names, and the SQL that filters, sorts and writes each.

`u` is unified_data and `s` its source in every statement of this package. Nothing but these constants and `$n` is ever
put into SQL text.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["integer", "text", "decimal", "time", "tags", "source", "attributes"]

UTC_TIME: Final = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


@dataclass(frozen=True, slots=True)
class Column:
    """`sql` is compared and sorted by, `json` stands in JSON, `cell` is its text in CSV."""

    name: str
    kind: Kind
    sql: str
    json: str
    cell: str
    nullable: bool = True
    long: bool = False
    """Whether its text may be of any length: sorted by its beginning, so that cursors stay short."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or with a path a value inside `attributes`; `name` is how it was asked for."""

    name: str
    column: Column
    path: tuple[str, ...] = ()


def _integer(name: str) -> Column:
    return Column(name, "integer", f"u.{name}", f"u.{name}", f"u.{name}::text", nullable=False)


def _text(name: str, *, nullable: bool = True, long: bool = True) -> Column:
    return Column(name, "text", f"u.{name}", f"u.{name}", f"u.{name}", nullable, long)


def _time(name: str, *, nullable: bool = False) -> Column:
    shown = f"to_char(u.{name} at time zone 'utc', {UTC_TIME})"
    return Column(name, "time", f"u.{name}", shown, shown, nullable)


def _decimal(name: str) -> Column:
    shown = f"trim_scale(u.{name})::text"
    return Column(name, "decimal", f"u.{name}", shown, shown)


COLUMNS: Final = {
    column.name: column
    for column in (
        _integer("id"),
        Column("source", "source", "s.name", "s.name", "s.name", nullable=False),
        Column("source_type", "source", "s.type", "s.type", "s.type", nullable=False),
        _text("record_key", nullable=False, long=False),
        _text("title"),
        _text("body"),
        _text("url"),
        _text("author"),
        _text("category"),
        Column("tags", "tags", "u.tags", "coalesce(u.tags, '{}')", "to_json(coalesce(u.tags, '{}'))::text"),
        _decimal("value"),
        _text("unit"),
        _time("occurred_at", nullable=True),
        _text("entity_key", long=False),
        Column("attributes", "attributes", "u.attributes", "coalesce(u.attributes, '{}')", "u.attributes::text"),
        _integer("raw_id"),
        _integer("run_id"),
        _time("first_seen_at"),
        _time("last_changed_at"),
    )
}
"""In the order in which a record shows them."""
