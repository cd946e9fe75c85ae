"""What each kind of check says of records, what becomes of the run, and when nothing has to be read again."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import ConfigurationError, QualityError, StoppedError
from kasparro.ingestion import connections
from kasparro.services import quality, runs, sources
from tests.judged import Judged


@pytest.fixture
def judged(tmp_path: Path, database: ConnectionOptions, connection: Connection) -> Judged:
    return Judged(tmp_path, database, connection)


@pytest.mark.parametrize(
    ("check", "rows", "expected"),
    [
        ("type: not_null, field: title", [{"name": "a"}, {"name": ""}, {"name": "b"}], (False, 3, 1)),
        ("type: not_null, field: [title, value]", [{"name": "a"}, {"price": 1}, {"name": "b", "price": 0}], (False, 3, 2)),
        ("type: not_null, field: tags", [{"label": "x"}, {}], (False, 2, 1)),
        ("type: not_null, field: attributes.size", [{"size": "0"}, {}], (False, 2, 1)),
        ("type: not_null, field: title, max_share: 0.5", [{"name": "a"}, {}], (True, 2, 1)),
        ("type: not_null, field: title, max_share: 0.3", [{"name": "a"}, {}, {"name": "b"}], (False, 3, 1)),
        ("type: unique, field: title", [{"name": "a"}, {"name": "b"}, {"name": "a"}, {}, {}], (False, 3, 2)),
        ("type: unique, field: title", [{"name": "a"}, {"name": "A"}, {}], (True, 2, 0)),
        ("type: unique, field: value", [{"price": "1.0"}, {"price": "1"}, {"price": "1.01"}], (False, 3, 2)),
        ("type: unique, field: attributes.size", [{"size": "1"}, {"size": "1"}, {}, {}], (False, 2, 2)),
        (
            "type: unique, field: [title, category]",
            [{"name": "a", "kind": "x"}, {"name": "a", "kind": "y"}, {"name": "a"}, {"name": "a"}],
            (True, 2, 0),
        ),
        ("type: in, field: category, values: [x, 010, no]", [{"kind": "010"}, {"kind": "no"}, {}], (True, 2, 0)),
        ("type: in, field: category, values: [x]", [{"kind": "X"}, {"kind": "x "}, {"kind": "x"}], (False, 3, 2)),
        ("type: in, field: value, values: [1, 2.50]", [{"price": "1.00"}, {"price": "2.5"}, {"price": 3}], (False, 3, 1)),
        ("type: in, field: tags, values: [x, y]", [{"label": "x"}, {"label": "z"}, {}], (False, 2, 1)),
        ("type: in, field: attributes.size, values: [s, 10]", [{"size": "10"}, {"size": "10.0"}, {}], (False, 2, 1)),
        ("type: between, field: value, min: 0, max: 1", [{"price": 0}, {"price": 1}, {}], (True, 2, 0)),
        (
            "type: between, field: value, max: 1",
            [{"price": "1.0000000000000000000000000000001"}, {"price": "-1e300"}],
            (False, 2, 1),
        ),
        (
            "type: between, field: attributes.size, min: 5",
            [{"size": " 10 "}, {"size": "9"}, {"size": "4.99"}, {"size": "ten"}, {"size": "1e999999"}, {}],
            (False, 5, 3),
        ),
        (
            "type: between, field: occurred_at, min: 2020-01-01T00:00:00+01:00, max: 2020-12-31",
            [{"at": "2019-12-31T23:00:00Z"}, {"at": "2019-12-31T22:59:59.999999Z"}, {"at": "2020-12-31"}, {}],
            (False, 3, 1),
        ),
        (
            "type: between, field: occurred_at, max: now",
            [{"at": "2019-12-31T23:00:00Z"}, {"at": "2219-12-31T22:00:00Z"}],
            (False, 2, 1),
        ),
        ("type: matches, field: url, pattern: '^https?://'", [{"url": "https://a"}, {"url": "ftp://a"}], (False, 2, 1)),
        (r"type: matches, field: title, pattern: '\yfoo\y'", [{"name": "a foo b"}, {"name": "food"}], (False, 2, 1)),
        (r"type: matches, field: title, pattern: '^[[:alpha:]]+$'", [{"name": "ab"}, {"name": "a1"}], (False, 2, 1)),
        ("type: matches, field: title, pattern: '(?i)^AB$'", [{"name": "ab"}, {}], (True, 1, 0)),
        ("type: matches, field: title, pattern: '^a.b$'", [{"name": "a\nb"}], (True, 1, 0)),
        ("type: matches, field: attributes.size, pattern: '^[0-9]+$'", [{"size": "12"}, {"size": "x"}], (False, 2, 1)),
        ("type: row_count, min: 2, max: 2", [{}, {"gone": "yes"}, {}], (True, 2, 0)),
        ("type: row_count, min: 3", [{}, {}], (False, 2, 2)),
        ("type: not_null, field: title", [{"gone": "yes"}], (True, 0, 0)),
        ("type: fresh_within, max_age: 1h", [{"at": "2020-01-01"}, {}], (False, 1, 1)),
        ("type: fresh_within, max_age: 1h", [{}], (False, 0, 0)),
        ("type: fresh_within, max_age: 1h, field: last_changed_at", [{}], (True, 1, 0)),
    ],
)
async def test_check_says_how_many_records_do_not_hold_to_it(
    judged: Judged, check: str, rows: list[dict[str, Any]], expected: tuple[bool, int, int]
) -> None:
    judged.write({"id": "other", "name": "a"})
    judged.name = "another"
    await judged.run()  # records of other sources do not count
    judged.name = "judged"
    assert await judged.one(check, *rows) == expected


async def test_empty_source_holds_to_all_but_what_wants_records(judged: Judged) -> None:
    judged.write()
    results = await judged.judge("type: not_null, field: title", "type: row_count, min: 1", "type: fresh_within, max_age: 1h")
    assert [(result.passed, result.message) for result in results] == [
        (True, "title not null: there is no record to look at"),
        (False, "row count at least 1: there are 0"),
        (False, "occurred_at within 1h: no record has such a time"),
    ]
