"""Times by which an API is asked: compared exactly, and given back as they came."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.sources.api.stamps import (
    Stamp,
    StampFormat,
    began_at,
    earlier,
    greatest_of,
    parse_stamp,
    rewritten,
    stamp_text,
)

TEN_MINUTES = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-22T13:00:00Z", "1795352400"),
        ("2026-11-22T13:00:00.123Z", "1795352400.123"),
        ("2026-11-22T13:00:00.123456789Z", "1795352400.123456"),
        ("2026-11-22T15:00:00+02:00", "1795352400"),
        ("2026-11-22 13:00:00", "1795352400"),
        ("2026-11-22", "1795305600"),
        ("1969-12-31T23:59:59.5Z", "-0.5"),
    ],
)
def test_iso_times_are_seconds(value: str, seconds: str) -> None:
    stamp = parse_stamp(value, "iso8601")
    assert stamp is not None
    assert (stamp.at, stamp.text) == (Fraction(seconds), value)


@pytest.mark.parametrize(
    ("value", "stamp_format", "seconds", "text"),
    [
        (1795352400123, "epoch_ms", "1795352400.123", "1795352400123"),
        ("1795352400123", "epoch_ms", "1795352400.123", "1795352400123"),
        (1795352400, "epoch_s", "1795352400", "1795352400"),
        (Decimal("1795352400.123456789"), "epoch_s", "1795352400.123456789", "1795352400.123456789"),
        (Decimal("1.795352400E9"), "epoch_s", "1795352400", "1795352400"),
        (-5, "epoch_s", "-5", "-5"),
    ],
)
def test_clock_numbers_are_seconds(value: Any, stamp_format: StampFormat, seconds: str, text: str) -> None:
    stamp = parse_stamp(value, stamp_format)
    assert stamp is not None
    assert (stamp.at, stamp.text) == (Fraction(seconds), text)


@pytest.mark.parametrize(
    ("value", "stamp_format"),
    [
        ("yesterday", "iso8601"), ("", "iso8601"), (None, "iso8601"), (5, "iso8601"), ("2026-13-01", "iso8601"),
        (True, "epoch_s"), (None, "epoch_s"), ("x", "epoch_ms"), ([], "epoch_s"), (Decimal("NaN"), "epoch_s"),
        (Decimal("1E400000"), "epoch_s"), (Decimal("1E-400000"), "epoch_s"), ("Infinity", "epoch_ms"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(value: Any, stamp_format: StampFormat) -> None:
    assert parse_stamp(value, stamp_format) is None


@pytest.mark.parametrize(
    ("value", "stamp_format", "expected"),
    [
        ("2026-11-22T13:00:00Z", "iso8601", "2026-11-22T12:50:00Z"),
        ("2026-11-22T00:05:00.250Z", "iso8601", "2026-11-21T23:55:00.250Z"),
        ("2026-11-22T13:00:00.123456789Z", "iso8601", "2026-11-22T12:50:00.123456Z"),
        ("2026-11-22T13:00:00+02:00", "iso8601", "2026-11-22T12:50:00+02:00"),
        ("2026-11-22 13:00:00", "iso8601", "2026-11-22 12:50:00"),
        ("2026-11-22", "iso8601", "2026-11-21"),
        ("0001-01-01", "iso8601", "0001-01-01"),
        (1795352400123, "epoch_ms", "1795351800123"),
        (1795352400, "epoch_s", "1795351800"),
        (Decimal("1795352400.5"), "epoch_s", "1795351800.5"),
    ],
)
def test_lookback_keeps_the_form(value: Any, stamp_format: StampFormat, expected: str) -> None:
    stamp = parse_stamp(value, stamp_format)
    assert stamp is not None
    assert earlier(stamp, TEN_MINUTES, stamp_format) == expected


def test_lookback_below_the_unit_is_rounded_to_earlier() -> None:
    stamp = parse_stamp(1795352400, "epoch_s")
    assert stamp is not None
    assert earlier(stamp, timedelta(milliseconds=1), "epoch_s") == "1795352399"


def test_without_lookback_the_text_is_untouched() -> None:
    stamp = parse_stamp("2026-11-22T13:00:00.123456789+00:00", "iso8601")
    assert stamp is not None
    assert earlier(stamp, timedelta(0), "iso8601") == "2026-11-22T13:00:00.123456789+00:00"


def test_own_clock_is_rounded_down_to_seconds() -> None:
    moment = datetime(2026, 11, 22, 13, 0, 0, 999_999, UTC)
    formats: list[StampFormat] = ["iso8601", "epoch_ms", "epoch_s"]
    assert [stamp_text(moment, each) for each in formats] == ["2026-11-22T13:00:00Z", "1795352400000", "1795352400"]


@pytest.mark.parametrize(
    ("text", "given", "wanted", "expected"),
    [
        ("1517966996303", "epoch_ms", "iso8601", "2018-02-07T01:29:56.303Z"),
        ("1517966996000", "epoch_ms", "iso8601", "2018-02-07T01:29:56Z"),
        ("1517966996.3034567", "epoch_s", "iso8601", "2018-02-07T01:29:56.303456Z"),
        ("-0.5", "epoch_s", "iso8601", "1969-12-31T23:59:59.500Z"),
        ("1517966996999", "epoch_ms", "epoch_s", "1517966996"),
        ("-1", "epoch_ms", "epoch_s", "-1"),
        ("1517966996", "epoch_s", "epoch_ms", "1517966996000"),
        ("2018-02-07T02:29:56.303999+01:00", "iso8601", "epoch_ms", "1517966996303"),
        ("2018-02-07T01:29:56.30Z", "iso8601", "iso8601", "2018-02-07T01:29:56.30Z"),
        ("-99999999999999999999", "epoch_ms", "iso8601", "0001-01-01T00:00:00Z"),
        ("99999999999999999999", "epoch_ms", "iso8601", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_rewritten_and_never_later(text: str, given: StampFormat, wanted: StampFormat, expected: str) -> None:
    assert rewritten(text, given, wanted) == expected


@pytest.mark.parametrize(
    ("date", "began"),
    [
        ("Sun, 22 Nov 2026 13:10:00 GMT", datetime(2026, 11, 22, 13, 9, 58, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 12:50:00 GMT", datetime(2026, 11, 22, 12, 49, 58, tzinfo=UTC)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", datetime(2026, 11, 22, 13, 0, tzinfo=UTC)),
        ("some day", datetime(2026, 11, 22, 13, 0, tzinfo=UTC)),
        (None, datetime(2026, 11, 22, 13, 0, tzinfo=UTC)),
    ],
)
def test_beginning_is_told_by_the_clock_of_the_server(date: str | None, began: datetime) -> None:
    asked = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
    headers = {} if date is None else {"date": date}
    assert began_at(headers, asked, asked + timedelta(seconds=2)) == began


LIMIT = Fraction(1_795_352_400)
PLAIN = st.datetimes(datetime(2026, 11, 22, 12, 59), datetime(2026, 11, 22, 13, 1)).map(  # noqa: DTZ001
    lambda time: f"{time.isoformat(timespec='seconds')}Z"
)
TIMES = st.one_of(
    PLAIN,
    st.sampled_from([
        "2026-11-22T13:00:00.000000Z", "2026-11-22T13:00:00.1Z", "2026-11-22T15:00:00+02:00", "2026-11-22",
        "2026-11-31T00:00:00Z", "9999-12-31T23:59:60Z", "", None, True, "\u0661", "1795352400",
        1795352400, Decimal("1795352399.5"), [], {},
    ]),
)  # fmt: skip


@given(
    st.one_of(st.lists(PLAIN), st.lists(TIMES), st.lists(st.integers(1_795_352_390, 1_795_352_410))),
    st.sampled_from(["iso8601", "epoch_s", "epoch_ms"]),
)
def test_the_greatest_time_is_that_of_all_looked_at_one_by_one(values: list[Any], stamp_format: StampFormat) -> None:
    greatest: Stamp | None = None
    for value in values:
        stamp = parse_stamp(value, stamp_format)
        if stamp is not None and stamp.at <= LIMIT and (greatest is None or stamp.at > greatest.at):
            greatest = stamp
    assert greatest_of(values, stamp_format, LIMIT) == greatest
