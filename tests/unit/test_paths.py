"""The first of several paths, by look-ups: what JMESPath gives, for one payload and for many."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasparro.ingestion.paths import compile_search, look_through
from kasparro.schemas.configuration.expressions import first_of, first_paths

EXPRESSIONS = (
    "not_null(p.new, p.old)", "not_null(new, p.old, old)", "not_null(old)", 'not_null(p.q.old, "n w")',
    "not_null(p, new)", "not_null(new, 'constant')", "not_null(p.new, p.old).q", "not_null(p[0], old)",
)  # fmt: skip
values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just(Decimal("1.50")), st.just([]))
objects = st.recursive(values, lambda inner: st.dictionaries(st.sampled_from(["new", "old", "q", "n w"]), inner))
payloads = st.dictionaries(st.sampled_from(["p", "new", "old", "n w"]), objects)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@given(given=st.lists(payloads, max_size=4))
def test_look_ups_give_what_jmespath_gives(expression: str, given: list[dict[str, Any]]) -> None:
    look, search = look_through(expression), compile_search(expression)
    expected = [search(payload) for payload in given]
    assert [look.one(payload) for payload in given] == expected
    assert look.many(given) == expected


def test_only_paths_of_names_are_looked_up() -> None:
    assert [first_paths(expression) is not None for expression in EXPRESSIONS] == [True] * 5 + [False] * 3
    assert first_of('not_null(a, "b c")') == ("a", "b c")
    assert first_of("not_null(a.b, c)") is None
    assert first_of("lower(a)") is None
