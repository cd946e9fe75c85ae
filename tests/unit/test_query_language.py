"""The query language of /data: its description and its reader agree, and no query string breaks it."""

import contextlib
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.api.formats import accepted_format
from kasparro.api.query_language import DATA_PARAMETERS, parse
from kasparro.api.query_language.preferences import preferred_count
from kasparro.core.errors import NotAcceptableError, ParameterError

BY_NAME: dict[str, dict[str, Any]] = {parameter["name"]: parameter for parameter in DATA_PARAMETERS}
FILTERS = [name for name, parameter in BY_NAME.items() if parameter.get("explode")]
ONE_OF_A_KIND = ["id", "source", "source_type", "title", "tags", "value", "occurred_at", "sort", "fields"]
FEW = settings(deadline=None, max_examples=10)


def problems_of(query: bytes) -> dict[str, str]:
    """What is wrong with a query string."""
    try:
        parse(query)
    except ParameterError as error:
        return error.problems
    return {}


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@given(data=st.data())
@FEW
def test_what_is_described_is_read(name: str, data: st.DataObject) -> None:
    pattern: str = BY_NAME[name]["schema"]["items"]["pattern"]
    value = data.draw(st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= 200))
    if "02-29" in value:  # no pattern knows the leap years
        return
    asked = parse(urlencode({name: value}).encode())
    assert asked.filters if name in FILTERS else asked.get(name)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@given(value=st.text(st.sampled_from('01-2.9eqntlik(),"\\*:TZ source_typ+\x00'), max_size=12))
@FEW
def test_what_is_read_is_described(name: str, value: str) -> None:
    if problems_of(urlencode({name: value}).encode()):
        return
    items = value.split(",") if name in {"sort", "fields"} else [value]
    assert all(re.fullmatch(BY_NAME[name]["schema"]["items"]["pattern"], item) for item in items)


@given(st.binary(max_size=60))
@FEW
def test_no_query_string_breaks_the_reader(query: bytes) -> None:
    problems_of(query)


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3))
@FEW
def test_no_header_breaks_the_negotiation(accept: str, prefer: list[str]) -> None:
    preferred_count(prefer)
    with contextlib.suppress(NotAcceptableError):
        accepted_format(accept)
