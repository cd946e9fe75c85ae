"""Stored payloads as records: whether they become columns or not, they are the same records."""

import json
from typing import Any

import pytest

from kasparro.ingestion.columns import stored
from kasparro.ingestion.columns.stored import stored_records
from kasparro.ingestion.columns.text import TextColumns
from kasparro.ingestion.registry import build_transformer
from kasparro.schemas.configuration import parse_configuration

CONFIGURATION = """
sources:
  - {name: s, type: csv, path: s.csv, key: id, null_values: ["", NA], map: {title: a, value: v, attributes: "*"}}
"""
PLAIN: list[dict[str, Any]] = [{"id": f"k{n}", "a": f"ü {n}", "v": f"{n}.50", "b c": "NA"} for n in range(30)]
ODD: dict[str, dict[str, Any]] = {
    "quote": {"id": "o", "a": 'say "x"', "v": "1", "b c": ""},
    "backslash": {"id": "o", "a": "\\", "v": "1", "b c": ""},
    "line end": {"id": "o", "a": "one\ntwo\r\u2028", "v": "1", "b c": ""},
    "name with an escape": {"id": "o", "a": "x", "v": "1", 'b"c': ""},
    "no value": {"id": "o", "a": None, "v": "1", "b c": ""},
    "number": {"id": "o", "a": "x", "v": 1.50, "b c": ""},
    "truth value": {"id": "o", "a": True, "v": "1", "b c": ""},
    "ragged row": {"_cells": ["a", "b"]},
    "name more": {"id": "o", "a": "x", "v": "1", "b c": "", "d": ""},
    "name less": {"id": "o", "a": "x", "v": "1"},
    "text that looks like a time": {"id": "o", "a": "2026-01-02T03:04:05Z", "v": "1", "b c": "true"},
    "nothing": {},
}
AS_COLUMNS = {"text that looks like a time"}


def text(payload: dict[str, Any]) -> str:
    """As jsonb shows it: shorter names first, other spaces than ours."""
    return json.dumps(dict(sorted(payload.items(), key=lambda item: (len(item[0]), item[0]))), ensure_ascii=False)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_AT_ONCE", 20)
    monkeypatch.setattr(stored, "_WORTH", 4)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", [0, 7, 19, 29])
def test_records_are_the_same_whichever_way(name: str, place: int) -> None:
    payloads = [*PLAIN[:place], ODD[name], *PLAIN[place:]]
    locators = [f"s.csv:{n}" for n in range(len(payloads))]
    read = stored_records(list(map(text, payloads)), locators, text_only=True)
    assert [(record.payload, record.locator) for record in read] == list(zip(payloads, locators, strict=True))
    in_columns = sum(len(part) for part in read.parts if isinstance(part, TextColumns))
    assert in_columns >= (31 if name in AS_COLUMNS else 10)
    assert len(read) == 31

    transformer = build_transformer(parse_configuration(CONFIGURATION, {}).sources[0])
    as_columns, one_by_one = transformer.transform(read, 1), transformer.judge(list(read), 1)
    hashes = {ordinal: hash_ for rows in as_columns.columns for ordinal, hash_ in _hashes(rows)}
    hashes |= {record.ordinal: record.record_hash for record in as_columns.accepted}
    assert hashes == {record.ordinal: record.record_hash for record in one_by_one.accepted}
    assert as_columns.rejected == one_by_one.rejected


def test_slice_of_columns_keeps_its_locators() -> None:
    read = stored_records(list(map(text, PLAIN[:10])), [f"x:{n}" for n in range(10)], text_only=True)
    (part,) = read.parts
    assert isinstance(part, TextColumns)
    assert [record.locator for record in part[3:5]] == ["x:3", "x:4"]
    assert (part[9].locator, part[9].payload["id"]) == ("x:9", "k9")


def test_payloads_of_others_are_parsed_with_exact_numbers() -> None:
    (record,) = stored_records(['{"a": 1.50, "b": 12345678901234567890123}'], ["x"], text_only=False)
    assert (str(record.payload["a"]), record.payload["b"]) == ("1.50", 12345678901234567890123)


def _hashes(rows: Any) -> list[tuple[int, bytes]]:
    return list(zip(rows.column("ordinal").to_pylist(), rows.column("record_hash").to_pylist(), strict=True))
