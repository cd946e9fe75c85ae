"""The query language of /data: its description and its reader agree, and no query string breaks it."""

import contextlib
import re
from datetime import date, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.api.formats import accepted_format
from kasparro.api.query_language import DATA_PARAMETERS, parse
from kasparro.api.query_language.operands import time
from kasparro.api.query_language.preferences import preferred_count
from kasparro.core.errors import NotAcceptableError, ParameterError

BY_NAME: dict[str, dict[str, Any]] = {parameter["name"]: parameter for parameter in DATA_PARAMETERS}
FILTERS = [name for name, parameter in BY_NAME.items() if parameter.get("explode")]
ONE_OF_A_KIND = ["id", "source", "source_type", "title", "tags", "value", "occurred_at", "sort", "fields"]
zones = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FEW = settings(deadline=None, max_examples=10)


def problems_of(query: bytes) -> dict[str, str]:
    """What is wrong with a query string."""
    try:
        parse(query)
    except ParameterError as error:
        return error.problems
    return {}


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ("titel=x", "titel", "did you mean 'title'?"),
        ("atributes.x=1", "atributes.x", "did you mean"),
        ("value=gt.abc", "value", "expected a decimal number such as 12.5"),
        ("value=NaN", "value", "expected a decimal number"),
        ("value=1e99999", "value", "expected a decimal number"),
        ("value=", "value", "expected a decimal number"),
        ("occurred_at=gt.yesterday", "occurred_at", "expected a date or time such as 2013-01-31"),
        ("occurred_at=2013-02-31", "occurred_at", "expected a date or time"),
        ("occurred_at=0000-12-31", "occurred_at", "expected a date or time"),
        ("occurred_at=2016-12-31T23:59:61Z", "occurred_at", "expected a date or time"),
        ("occurred_at=20130131", "occurred_at", "expected a date or time"),
        ("id=in.()", "id", "expected a list such as (a,b"),
        ("id=in.1,2", "id", "expected a list such as (a,b"),
        ("id=in.(1,)", "id", "expected a whole number of at most 18 digits"),
        ("id=9223372036854775808", "id", "expected a whole number"),
        ("title=in.(a(b)", "title", "quote a value that holds a comma"),
        ('title=in.("a)', "title", "quote a value that holds a comma"),
        (f"id=in.({','.join(['1'] * 101)})", "id", "at most 100 values"),
        (f"title={'x' * 4097}", "title", "at most 4096 characters"),
        (f"title=like.{'x' * 201}", "title", "at most 200 characters"),
        ("title=like.a%5C", "title", "must not end with a backslash"),
        ("title=a%00b", "title", "no NUL character"),
        ("title=not.x", "title", "an operator must follow not."),
        ("title=is.true", "title", "expected is.null, is.notnull"),
        ("attributes.x=is.maybe", "attributes.x", "expected is.null, is.notnull, is.true, is.false"),
        ("value=like.1*", "value", "like cannot be used here, only eq, neq, gt, gte, lt, lte, in, is"),
        (
            "title=not.x",
            "title",
            "must follow not.; if the text itself is meant, write eq. before it, as in title=eq.not.x",
        ),
        ("tags=gt.a", "tags", "if the text itself is meant, write eq. before it, as in tags=eq.gt.a"),
        ("source=is.null", "source", "is cannot be used here"),
        ("source_type=xml", "source_type", "expected one of api, csv, rss"),
        ("attributes=x", "attributes", "name a value inside it"),
        ("attributes..x=1", "attributes..x", "is no path"),
        ("attributes.x.=1", "attributes.x.", "is no path"),
        (f"attributes.{'.'.join('abcdefghijk')}=1", "attributes.a.b.c.d.e.f.g.h.i.j.k", "at most 10 steps"),
        ("sort=", "sort", "'' is no field"),
        ("sort=titel", "sort", "did you mean 'title'?"),
        ("sort=tags", "sort", "tags has no order"),
        ("sort=title,attributes.%22a", "sort", "a quote is not closed"),
        (f"sort={',' * 16_000}", "sort", "at most 5 fields"),
        ("&".join(f"z{n}=1" for n in range(101)), "z100", "at most 100 parameters"),
        ("sort=attributes", "sort", "name a value inside it"),
        ("sort=title,body,url,author,unit,value", "sort", "at most 5 fields"),
        ("fields=id,,title", "fields", "'' is no field"),
        ("fields=id,id", "fields", "named more than once"),
        (f"fields={','.join(f'attributes.a{n}' for n in range(41))}", "fields", "at most 40 fields"),
        ("q=", "q", "1 to 200 characters"),
        (f"q={'x' * 201}", "q", "1 to 200 characters"),
        ("count=all", "count", "expected one of exact, planned, estimated, none"),
        ("format=xml", "format", "expected one of json, ndjson, csv"),
        ("sort=id&sort=id", "sort", "given more than once"),
        ("cursor=", "cursor", "next_cursor of a page"),
        ("cursor=abc&offset=1", "offset", "together with cursor"),
        ("&".join(["value=1"] * 4), "value", "at most 3 filters of one field"),
        ("&".join(f"attributes.a{n}=1" for n in range(61)), "attributes.a60", "at most 60 filters"),
    ],
)
def test_a_mistake_is_named_with_what_is_expected(query: str, parameter: str, words: str) -> None:
    problems = problems_of(query.encode())
    assert list(problems) == [parameter]
    assert words in problems[parameter]


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
@given(data=st.data())
@FEW
def test_what_is_described_is_read(name: str, data: st.DataObject) -> None:
    pattern: str = BY_NAME[name]["schema"]["items"]["pattern"]
    value = data.draw(st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= 200))
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


@given(st.dates() | st.datetimes(timezones=zones))
@settings(FEW, max_examples=200)
def test_every_date_is_read(moment: date) -> None:
    assert not problems_of(urlencode({"occurred_at": moment.isoformat()[:32]}).encode())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000+00:00"),
        ("2016-12-31T18:59:60-05:00", "2017-01-01T00:00:00+00:00"),
        ("2016-06-30T12:30:60", "2016-06-30T12:31:00+00:00"),
        ("9999-12-31T23:59:60Z", "infinity"),
        ("0001-01-01", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00.000000Z", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00+14:00", "-infinity"),
    ],
)
def test_leap_seconds_and_the_ends_of_time_are_moments(text: str, moment: str) -> None:
    assert time(text) == moment


@pytest.mark.parametrize("day", ["2100-02-29", "2013-02-29", "2013-04-31", "0000-02-29", "2013-13-01", "2013-00-10"])
def test_no_other_date_is(day: str) -> None:
    assert problems_of(f"occurred_at={day}".encode())


def test_letters_need_no_encoding() -> None:
    assert parse("q=é".encode()) == parse(b"q=%C3%A9")
    assert parse(b'sort=attributes."a,b",-title').get("sort")[0].field.path == ("a,b",)


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


@pytest.mark.parametrize("query", ["value=like.1*", "id=not.1", "occurred_at=ilike.2013", "source_type=not.csv"])
def test_where_there_is_no_text_none_is_suggested(query: str) -> None:
    assert [problem for problem in problems_of(query.encode()).values() if "the text itself" in problem] == []
