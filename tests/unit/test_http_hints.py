"""When servers say to come back."""

import pytest

from kasparro.ingestion.http.hints import asked_pause, come_back_in, quota_pause, retry_after

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30.0),
        ("Fri Jan 15 08:00:30 2027", 30.0),
        ("0", None),
        ("0.0", None),
        ("-5", None),
        ("Fri, 15 Jan 2027 07:59:59 GMT", None),
        ("Fri, 15 Jan 2027 08:00:00 GMT", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("٣", None),
        ("9" * 400, None),
        ("Fri, 99 Foo 2027 08:00:30 GMT", None),
    ],
)
def test_retry_after_counts_only_when_it_lies_ahead(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_no_header_is_no_hint() -> None:
    assert retry_after({}, NOW) is None
    assert quota_pause({}, NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit": '"default";r=0;t=30'}, 30.0),
        ({"ratelimit": '"burst";r=3;t=1, "daily";r=0;t=900'}, 900.0),
        ({"ratelimit": '"a;r=0,t=5";r=1;t=30'}, None),
        ({"ratelimit": '"default";r=5;t=30'}, None),
        ({"ratelimit": '"default";r=0'}, None),
        ({"ratelimit": "limit=100, remaining=0, reset=12"}, 12.0),
        ({"ratelimit": "limit=100, remaining=7, reset=12"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "20"}, 20.0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "20"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "45"}, 45.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000060"}, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000060000"}, 60.0),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "3"}, 3.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1799999999"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "later"}, None),
        ({"x-ratelimit-remaining": "none", "x-ratelimit-reset": "10"}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-reset": "10"}, None),
    ],
)
def test_a_quota_that_is_used_up_pauses_until_its_reset(headers: dict[str, str], seconds: float | None) -> None:
    assert quota_pause(headers, NOW) == seconds


def test_the_longer_of_two_hints_counts() -> None:
    headers = {"retry-after": "5", "ratelimit": '"default";r=0;t=30'}
    assert come_back_in(429, headers, NOW) == 30.0
    assert asked_pause(429, headers, NOW) == 30.0


def test_a_quota_says_when_to_come_back_only_where_it_may_be_the_reason() -> None:
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "45"}
    assert [come_back_in(status, spent, NOW) for status in (403, 404, 429, 503)] == [45.0, None, 45.0, 45.0]


def test_retry_after_of_a_success_pauses_nothing_but_a_quota_used_up_does() -> None:
    assert asked_pause(200, {"retry-after": "5"}, NOW) is None
    assert asked_pause(200, {"ratelimit-remaining": "0", "ratelimit-reset": "20"}, NOW) == 20.0
