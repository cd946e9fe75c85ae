"""Cursors of lists: what was signed opens for the same query, nothing else does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.api.cursors import MAX_CHARACTERS, open_cursor, sign
from kasparro.core.errors import CursorExpiredError, ParameterError

KEY = b"k" * 32
positions = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])))


@given(position=positions, query=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cursor_opens_to_what_was_signed(position: list[object], query: str) -> None:
    text = sign(KEY, position, query=query)
    assert open_cursor(KEY, text, query=query) == position
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_form_is_known_and_stable() -> None:
    assert sign(KEY, [None, 5], query="sort=id") == "AdvEYkrPmzUH0E5WBeVVmI2A_vqNiTbZ75aPupVbbnVsbCw1XQ"


def test_another_query_is_refused_by_name() -> None:
    with pytest.raises(ParameterError) as refused:
        open_cursor(KEY, sign(KEY, [5], query="sort=id"), query="sort=title")
    assert list(refused.value.problems) == ["cursor"]
    assert "other filters or another sort" in refused.value.problems["cursor"]


def test_a_key_that_is_gone_has_expired_and_is_not_forged() -> None:
    with pytest.raises(CursorExpiredError):
        open_cursor(b"n" * 32, sign(KEY, [5], query="sort=id"), query="sort=id")


def test_an_older_version_has_expired() -> None:
    data = base64.urlsafe_b64decode(sign(KEY, [5], query="q") + "==")
    with pytest.raises(CursorExpiredError):
        open_cursor(KEY, base64.urlsafe_b64encode(b"\x00" + data[1:]).rstrip(b"=").decode(), query="q")


def test_every_changed_byte_is_noticed() -> None:
    data = base64.urlsafe_b64decode(sign(KEY, [5], query="q") + "==")
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((ParameterError, CursorExpiredError)):
            open_cursor(KEY, base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), query="q")


@pytest.mark.parametrize(
    "text", ["", "a", "AAAA", "é", "\x00", "====", "A" * 41, "A" * (MAX_CHARACTERS + 1), "+/" * 30]
)
def test_what_was_never_given_out_is_refused(text: str) -> None:
    with pytest.raises((ParameterError, CursorExpiredError)):
        open_cursor(KEY, text, query="q")


def test_the_same_bytes_in_another_spelling_are_refused() -> None:
    text = sign(KEY, [5], query="q")
    for other in (text + "=", text + "\n", " " + text):
        with pytest.raises(ParameterError):
            open_cursor(KEY, other, query="q")
