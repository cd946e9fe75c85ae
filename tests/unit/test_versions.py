"""Versions as text that sorts as they do, what has none, and how a source says where they stand."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.core.errors import ConfigurationError
from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.source import Payload, RecordRejected, SourceRecord
from kasparro.ingestion.versions import DIGITS, compile_version, number_text, time_text
from kasparro.schemas.configuration import AnySourceConfig, mapping_hash, mapping_text, parse_configuration
from kasparro.schemas.readings import Defective
from kasparro.services.versions import losers

NUMBERS = st.one_of(
    st.integers(-(10**DIGITS) + 1, 10**DIGITS - 1).map(Decimal),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6),
    st.sampled_from([Decimal(text) for text in ("0", "-0.0", "1E+10", "1.50", "1.5", "-1.5", "-1.55", "-2", "-1E-38")]),
)


def api(settings: str) -> AnySourceConfig:
    line = f"{{name: rows, type: api, url: 'https://api.example.org', key: id, map: {{title: t}}, {settings}}}"
    return parse_configuration(f"sources: [{line}]", {}).sources[0]


def csv(settings: str) -> AnySourceConfig:
    line = f"{{name: rows, type: csv, path: rows.csv, key: id, map: {{title: t}}, {settings}}}"
    return parse_configuration(f"sources: [{line}]", {}).sources[0]


def version(source: AnySourceConfig, payload: Payload) -> str:
    look = compile_version(source)
    assert look is not None
    text = look.one(payload)
    assert look.many([payload, payload]) == [text, text]
    return text


@given(NUMBERS, NUMBERS)
def test_numbers_sort_as_text(one: Decimal, other: Decimal) -> None:
    assert (number_text(one) < number_text(other)) == (one < other)
    assert (number_text(one) == number_text(other)) == (one == other)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_times_sort_as_text(one: datetime, other: datetime) -> None:
    try:
        texts = time_text(one), time_text(other)
    except OverflowError:
        return
    assert (texts[0] < texts[1]) == (one < other)


def test_texts_of_versions() -> None:
    assert number_text(Decimal("17.250")) == "0" * 36 + "17.25"
    assert number_text(Decimal("-17.25")) == "-" + "9" * 36 + "82.74~"
    assert version(api("version: at"), {"at": "2026-01-02 03:04+02:00"}) == "2026-01-02T01:04:00.000000Z"
    assert version(api("version: m.at, timezone: Europe/Berlin"), {"m": {"at": "2026-07-01"}}) == (
        "2026-06-30T22:00:00.000000Z"
    )
    assert version(api("version: {field: rev, type: number}"), {"rev": 7}) == "7".rjust(38, "0")
    assert version(api("version: {field: rev, type: number}"), {"rev": "7.0"}) == "7".rjust(38, "0")
    assert version(csv("version: {field: rev, type: text}"), {"rev": "e\u0301"}) == "é"


@pytest.mark.parametrize("number", [Decimal(10) ** 38, Decimal("1e-39"), Decimal("1e-999999"), Decimal("1e999999")])
def test_number_with_too_many_digits_is_no_version(number: Decimal) -> None:
    with pytest.raises(Defective, match="more than 38 digits"):
        number_text(number)


@pytest.mark.parametrize(
    ("settings", "payload", "message"),
    [
        ("version: at", {}, "at, which tells the version, has no value"),
        ("version: at", {"at": None}, "at, which tells the version, has no value"),
        ("version: at, null_values: [NA]", {"at": "NA"}, "at, which tells the version, has no value"),
        ("version: at", {"at": 17}, "17 is not an ISO 8601 time"),
        ("version: at", {"at": "soon"}, '"soon" is not an ISO 8601 time'),
        ("version: {field: at, type: number}", {"at": "2026-01-01"}, '"2026-01-01" is not a decimal number'),
        ("version: {field: at, type: number}", {"at": True}, "must be an exact decimal"),
        ("version: {field: at, type: text}", {"at": ["x"]}, "must be text, not a list"),
        ("version: {field: at, type: text}", {"at": "a\x00"}, "cannot be stored"),
    ],
)
def test_record_without_a_version_that_can_be_read_is_rejected(
    settings: str, payload: dict[str, Any], message: str
) -> None:
    look = compile_version(api(settings))
    assert look is not None
    for read in (look.one, lambda one: look.many([one])):
        with pytest.raises(RecordRejected, match=re.escape(message)) as caught:
            read(payload)
        assert [(defect.code, defect.field) for defect in caught.value.defects] == [("invalid_version", "version")]


def test_record_is_rejected_with_all_that_is_wrong() -> None:
    transformer = build_transformer(api("version: at"))
    batch = transformer.transform([SourceRecord({"t": "x"}, "1")], 1)
    (rejected,) = batch.rejected
    assert [(defect.code, defect.field) for defect in rejected.defects] == [
        ("key_missing", "id"), ("invalid_version", "version"),
    ]  # fmt: skip


def test_missing_column_is_named() -> None:
    look = compile_version(csv("version: at"))
    assert look is not None
    with pytest.raises(RecordRejected, match='there is no column "at"'):
        look.one({"id": "1"})


def test_version_is_part_of_the_mapping_where_there_is_one() -> None:
    assert "version" not in mapping_text(api("null_values: ['']"))
    told = [api("version: at"), api("version: {field: at}"), api("version: {field: at, type: time}")]
    assert len({(mapping_text(source), mapping_hash(source)) for source in told}) == 1
    others = ["version: {field: at, type: text}", "version: changed", "null_values: ['']"]
    assert len({mapping_hash(source) for source in [told[0], *map(api, others)]}) == 4


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (csv, "version: at, ignore: [at]", 'ignore names "at", which holds the version'),
        (api, "version: m.at, ignore: [m]", 'ignore names "m", which holds the version'),
        (api, "version: m.at, ignore: [m.at]", 'ignore names "m.at", which holds the version'),
        (api, "version: 'm[0]', ignore: [x]", "must be a plain path"),
        (api, "version: {field: at, type: date}", "type"),
    ],
)
def test_version_that_does_not_count_is_refused(make: Any, settings: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(settings)
    assert message in str(caught.value)


def test_what_stands_beside_the_version_may_be_ignored() -> None:
    assert compile_version(api("version: m.at, ignore: [m.views, a]")) is not None
    assert compile_version(csv("version: m.at, ignore: [m]")) is not None


def test_record_loses_to_a_newer_one_before_it() -> None:
    keys, versions = list("aababb"), ["2", "1", "5", "2", "4", "6"]
    assert losers(keys, versions, {}) == [1, 4]
    assert losers(keys, versions, {"a": "3", "b": "5"}) == [0, 1, 3, 4]
