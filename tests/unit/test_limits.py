"""How many requests are let in, whose they are, and what answers say about themselves."""

from collections.abc import Callable

import pytest

from kasparro.api import limits
from kasparro.api.callers import caller_address
from kasparro.api.headers import trace_id
from kasparro.api.limits import RateLimiter
from kasparro.core.trust import proxies


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands until it is told to go on."""
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_a_minute_of_requests_at_once_then_one_by_one(wait: Callable[[float], None]) -> None:
    limiter = RateLimiter("requests", 6)
    assert [limiter.take("a").remaining for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    refused = limiter.take("a")
    assert (refused.remaining, refused.retry_after_seconds, refused.reset_seconds) == (0, 10, 70)
    assert limiter.take("b").retry_after_seconds == 0
    wait(9)
    assert limiter.take("a").retry_after_seconds == 1
    wait(1)
    assert limiter.take("a").retry_after_seconds == 0
    assert limiter.take("a").retry_after_seconds == 10
    wait(120)
    assert limiter.take("a").remaining == 5


def test_refused_requests_do_not_prolong_the_wait(wait: Callable[[float], None]) -> None:
    limiter = RateLimiter("requests", 1)
    limiter.take("a")
    for _ in range(100):
        assert limiter.take("a").retry_after_seconds == 60
    wait(60)
    assert limiter.take("a").retry_after_seconds == 0


def test_what_is_given_back_may_be_taken_again(wait: Callable[[float], None]) -> None:
    limiter = RateLimiter("bad-keys", 1)
    limiter.take("a")
    limiter.give_back("a")
    limiter.give_back("nobody")
    assert limiter.take("a").retry_after_seconds == 0
    wait(0)


def test_callers_are_tracked_up_to_a_number(wait: Callable[[float], None]) -> None:
    limiter = RateLimiter("requests", 2, tracked=3)
    for caller in "abcda":
        limiter.take(caller)
        wait(0.001)
    assert len(limiter) == 3


def test_nothing_is_limited_or_kept_at_zero() -> None:
    limiter = RateLimiter("requests", 0)
    assert {limiter.take("a").retry_after_seconds for _ in range(1000)} == {0}
    assert len(limiter) == 0
    assert limiter.fields(limiter.take("a")) == []


def test_fields_are_those_of_the_draft(wait: Callable[[float], None]) -> None:
    limiter = RateLimiter("requests", 6)
    assert limiter.fields(limiter.take("a")) == [
        (b"ratelimit-policy", b'"requests";q=6;w=60'), (b"ratelimit", b'"requests";r=5;t=10'),
    ]  # fmt: skip
    wait(0)


TRUSTED = "10.0.0.0/8, 192.0.2.1, fd00::/8"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 192.0.2.1"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7 , 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, \x00\r\n'; drop table"], "10.0.0.1"),
        ("198.51.100.9", ["1.1.1.1"], "198.51.100.9"),
        ("fd00::1", ["[2001:db8:1:2:3::9]:443"], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8::1", ["1.1.1.1"], "2001:db8::/64"),
        ("::ffff:198.51.100.9", [], "198.51.100.9"),
    ],
)
def test_only_trusted_proxies_say_who_asks(peer: str, forwarded: list[str], address: str) -> None:
    values = [value.encode("latin-1") for value in forwarded]
    assert caller_address({"client": (peer, 1)}, values, proxies(TRUSTED)) == address


def test_nobody_says_who_asks_where_no_proxy_is_trusted() -> None:
    assert caller_address({"client": ("10.0.0.1", 1)}, [b"1.1.1.1"], ()) == "10.0.0.1"
    assert caller_address({"client": None}, [b"1.1.1.1"], proxies("0.0.0.0/0")) == "unknown"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE), (f"cc-{TRACE}-00f067aa0ba902b7-01-more", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", None), (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None), (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None), ("", None), (f"00-{TRACE}-00f067aa0ba902b7-01\n", None),
    ],
)  # fmt: skip
def test_only_valid_traces_are_believed(given: str, expected: str | None) -> None:
    assert trace_id(given) == expected
