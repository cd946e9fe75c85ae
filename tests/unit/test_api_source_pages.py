"""From page to page: requests, next pages, circles, and what an option may say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.core.errors import ConfigurationError, PassExpiredError, SourceError
from kasparro.ingestion.source import Start
from kasparro.ingestion.sources.api import (
    ApiKeyAuth,
    ApiOptions,
    BasicAuth,
    BearerAuth,
    CursorPagination,
    Incremental,
    LinkHeaderPagination,
    NextUrlPagination,
    OffsetPagination,
    PagePagination,
)
from kasparro.ingestion.sources.api.pagination import PageFacts, advance
from kasparro.ingestion.sources.api.position import Position, Trail, begin
from kasparro.ingestion.sources.api.requests import page_request
from kasparro.ingestion.sources.api.urls import (
    following_url,
    is_counted,
    next_link,
    shown_url,
    with_params,
    without_params,
)

URL = "https://api.example.org/v1/items"
NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)


def options(url: str = URL, **more: Any) -> ApiOptions:
    return ApiOptions("items", url, **more)


def first(said: ApiOptions, settled: dict[str, Any] | None = None) -> Position:
    return begin(said, Start(settled=settled), NOW)


def facts(count: int, following: Any = None, digest: str | None = "d") -> PageFacts:
    return PageFacts(URL, URL, count, digest if count else None, following)


def url_of(said: ApiOptions, position: Position) -> str:
    return page_request(said, position).url


# -- what is sent ------------------------------------------------------------------------------------------------


def test_numbered_pages_ask_by_number_and_size() -> None:
    said = options(params={"q": "a b"}, pagination=PagePagination(size_param="per_page", size=50))
    position = first(said)
    assert url_of(said, position) == f"{URL}?q=a%20b&per_page=50&page=1"
    assert url_of(said, advance(said, position, facts(50))) == f"{URL}?q=a%20b&per_page=50&page=2"


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        (2, True),
        ("200", True),
        ("eyJpZCI6IDIwMH0", False),
        (f"{URL}?page=2", True),
        (f"{URL}?q=a&page=%32", True),
        (f"{URL}?q=a&limit=100&after=x7f", False),
        (f"{URL}?limit=100&q=a&after=x7f", False),
        (f"{URL}/page/2?q=a&limit=100", True),
        (f"{URL}/page/two?q=a&limit=100", False),
    ],
)
def test_pages_that_are_counted_are_told_from_those_with_tokens(at: int | str, counted: bool) -> None:
    assert is_counted(at, f"{URL}?q=a&limit=100") is counted


def test_position_remembers_that_pages_were_counted() -> None:
    said = options(pagination=CursorPagination("meta.next"))
    position = advance(said, first(said), facts(9, "2"))
    assert advance(said, position, facts(9, "x", "e")).counted
    assert Position.from_json(position.to_json()).counted
    assert not advance(said, first(said), facts(9, "x")).counted
    assert not advance(said, first(said), facts(9)).counted


def test_offset_moves_on_by_what_came() -> None:
    said = options(pagination=OffsetPagination("from", 0, "size", 100))
    behind = advance(said, first(said), facts(30))
    assert (behind.at, url_of(said, behind)) == (30, f"{URL}?size=100&from=30")


@pytest.mark.parametrize("pagination", [PagePagination(start=-1), OffsetPagination(start=-1)])
def test_pages_may_begin_below_zero(pagination: PagePagination | OffsetPagination) -> None:
    said = options(pagination=pagination)
    behind = advance(said, first(said), facts(1))
    assert (behind.at, behind.done) == (0, False)


def test_parameters_of_the_url_stay_as_they_are_unless_replaced() -> None:
    assert with_params("https://x.org/a?b=1,2&c&page=9", {"page": "3"}) == "https://x.org/a?b=1,2&c&page=3"
    assert without_params("https://x.org/a?key=s&b=1", ["key"]) == "https://x.org/a?b=1"


def test_credentials_are_sent_where_they_belong() -> None:
    def sent(auth: Any) -> tuple[str, dict[str, str]]:
        said = options(auth=auth, headers={"accept": "x/y"})
        request = page_request(said, first(said))
        return request.url, dict(request.headers)

    assert sent(ApiKeyAuth("s3cret", header="X-API-Key")) == (URL, {"accept": "x/y", "X-API-Key": "s3cret"})
    assert sent(ApiKeyAuth("s3 cret", query="key")) == (f"{URL}?key=s3%20cret", {"accept": "x/y"})
    assert sent(BearerAuth("t0ken")) == (URL, {"accept": "x/y", "Authorization": "Bearer t0ken"})
    assert sent(BasicAuth("Aladdin", "open sesame")) == (
        URL,
        {"accept": "x/y", "Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
    )


def test_credentials_do_not_show_in_the_options() -> None:
    for auth in (ApiKeyAuth("s3cret", header="X"), BearerAuth("s3cret"), BasicAuth("user", "s3cret")):
        assert "s3cret" not in repr(options(auth=auth, headers={"X": "s3cret"}))


def test_window_is_sent_with_every_page() -> None:
    said = options(
        incremental=Incremental("updated", "since", until_param="until", lookback=timedelta(minutes=1)),
        pagination=CursorPagination("next"),
    )
    settled = replace(first(said), candidate="2026-11-22T12:00:00Z").settled_json(said)
    position = first(said, settled)
    window = "since=2026-11-22T11%3A59%3A00Z&until=2026-11-22T13%3A00%3A00Z"
    assert url_of(said, position) == f"{URL}?{window}"
    assert url_of(said, advance(said, position, facts(1, "t1"))) == f"{URL}?{window}&cursor=t1"


def test_first_window_begins_at_the_initial_time_or_nowhere() -> None:
    assert first(options(incremental=Incremental("u", "since"))).since is None
    said = options(incremental=Incremental("u", "since", "epoch_s", initial="1700000000"))
    assert (first(said).since, first(said).candidate) == ("1700000000", None)


def test_watermark_of_another_field_is_not_used_but_one_of_another_page_size_is() -> None:
    said = options(incremental=Incremental("u", "since"), pagination=PagePagination("p", 1, "size", 10))
    larger = options(incremental=Incremental("u", "since"), pagination=PagePagination("p", 1, "size", 20))
    other = options(incremental=Incremental("v", "since"), pagination=said.pagination)
    settled = replace(first(said), candidate="2026-11-22T12:00:00Z").settled_json(said)
    assert [first(each, settled).since for each in (said, larger, other)] == [
        "2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z", None,
    ]  # fmt: skip


# -- where to go on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pagination", [PagePagination(), OffsetPagination()])
def test_numbered_pages_end_with_an_empty_page_and_not_with_a_short_one(pagination: Any) -> None:
    said = options(pagination=pagination)
    behind = advance(said, first(said), facts(1))
    assert not behind.done
    assert advance(said, behind, facts(0)).done


@pytest.mark.parametrize("pagination", [CursorPagination("next"), NextUrlPagination("next"), LinkHeaderPagination()])
@pytest.mark.parametrize("following", [None, "", False])
def test_named_pages_end_where_no_next_is_named(pagination: Any, following: Any) -> None:
    said = options(pagination=pagination)
    assert advance(said, first(said), facts(5, following)).done


def test_empty_page_that_names_another_is_not_the_end() -> None:
    said = options(pagination=CursorPagination("next"))
    behind = advance(said, first(said), facts(0, "t1"))
    assert (behind.done, behind.at) == (False, "t1")


def test_empty_page_that_names_itself_is_the_end() -> None:
    said = options(pagination=CursorPagination("next"))
    behind = advance(said, first(said), facts(5, "t1", "a"))
    assert advance(said, behind, facts(0, "t1")).done


def test_page_with_the_records_of_the_one_before_is_an_error() -> None:
    said = options(pagination=PagePagination())
    behind = advance(said, first(said), facts(5, digest="same"))
    with pytest.raises(SourceError, match="the pages repeat: page 2 holds the same records as the page before"):
        advance(said, behind, facts(5, digest="same"))


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(1, 50))
def test_tokens_that_go_in_a_circle_are_found_whatever_its_length(lead: int, length: int) -> None:
    def walk() -> None:
        position = first(said)
        for number in range(10 * (lead + length)):
            token = number if number < lead else lead + (number - lead) % length
            position = advance(said, position, facts(1, f"t{token}", f"d{number}"))

    said = options(pagination=CursorPagination("next"))
    with pytest.raises(SourceError, match="names a next page that was read before"):
        walk()


def test_trail_lets_new_tokens_pass() -> None:
    trail: Trail | None = Trail("0")
    for number in range(1000):
        assert trail is not None
        trail = trail.step(str(number))
    assert trail is not None


def test_more_pages_than_allowed_are_an_error() -> None:
    said = options(pagination=CursorPagination("next"), max_pages=2)
    position = advance(said, first(said), facts(0, "t1"))
    with pytest.raises(SourceError, match="more than 2 pages"):
        advance(said, position, facts(0, "t2"))


@pytest.mark.parametrize("following", [True, 1.5, ["x"], {"a": 1}])
def test_token_that_is_neither_text_nor_integer_is_an_error(following: Any) -> None:
    said = options(pagination=CursorPagination("next"))
    with pytest.raises(SourceError, match="neither text nor an integer"):
        advance(said, first(said), facts(1, following))


@pytest.mark.parametrize("following", ["a\x00b", "\ud800", "x\ny", "z" * 20_000])
@pytest.mark.parametrize("pagination", [CursorPagination("next"), NextUrlPagination("next")])
def test_name_that_no_cursor_can_hold_is_an_error(pagination: Any, following: str) -> None:
    said = options(pagination=pagination)
    with pytest.raises(SourceError, match="what names the next page h"):
        advance(said, first(said), facts(1, following))


def test_integer_tokens_are_sent_as_text() -> None:
    said = options(pagination=CursorPagination("next", "after"))
    assert url_of(said, advance(said, first(said), facts(1, 17))) == f"{URL}?after=17"


def test_urls_of_next_pages_keep_their_own_parameters_and_no_secret() -> None:
    said = options(params={"q": "a"}, auth=ApiKeyAuth("s3cret", query="key"), pagination=NextUrlPagination("next"))
    behind = advance(said, first(said), facts(1, "/v1/items?key=s3cret&_next=2#top"))
    assert behind.at == "https://api.example.org/v1/items?_next=2"
    assert url_of(said, behind) == "https://api.example.org/v1/items?_next=2&key=s3cret"


def resolved(link: str, page: str = URL, own: str = URL, *, anywhere: bool = False) -> str:
    return following_url(link, page, own, allow_other_hosts=anywhere)


def test_links_are_resolved_against_the_page() -> None:
    assert resolved("?page=2") == f"{URL}?page=2"
    assert resolved("other?page=2", "https://api.example.org/v2/deep/items") == (
        "https://api.example.org/v2/deep/other?page=2"
    )
    assert resolved("//api.example.org/x") == "https://api.example.org/x"
    assert resolved("HTTPS://API.example.org:443/x") == "https://API.example.org:443/x"


def test_server_behind_a_proxy_may_say_http() -> None:
    assert resolved("http://api.example.org/v1/items?page=2") == f"{URL}?page=2"
    assert resolved("https://h.org/x", "http://h.org/y", "http://h.org/y") == "https://h.org/x"


@pytest.mark.parametrize(
    "link",
    ["https://evil.example.com/x", "https://api.example.org:8443/x", "//evil.example.com/x", "https://example.org/x",
     "https://api.example.org.evil.com/", "http://api.example.org:8080/x"],
)  # fmt: skip
def test_another_origin_is_refused_unless_allowed(link: str) -> None:
    with pytest.raises(SourceError, match="leads to another host") as caught:
        resolved(link)
    assert caught.value.hint is not None
    assert resolved(link, anywhere=True).startswith("http")


@pytest.mark.parametrize(
    "link",
    ["ftp://api.example.org/x", "javascript:alert(1)", "https://u:p@api.example.org/", "http://[::1", "file:///x"],
)
def test_what_is_no_http_url_is_refused_always(link: str) -> None:
    with pytest.raises(SourceError, match="not an http URL"):
        resolved(link, anywhere=True)


def test_other_hosts_get_no_credentials() -> None:
    said = options(
        auth=BearerAuth("t0ken"), headers={"X-Secret": "s"}, params={"api_key": "k"}, allow_other_hosts=True,
        pagination=NextUrlPagination("next"),
    )  # fmt: skip
    request = page_request(said, advance(said, first(said), facts(1, "https://cdn.example.com/2")))
    assert (request.url, set(request.headers)) == ("https://cdn.example.com/2", {"Accept"})


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<https://x.org/?p=2>; rel="next"', "https://x.org/?p=2"),
        ('<a?p=1>; rel="prev", <a?p=3>; rel="next", <a?p=9>; rel="last"', "a?p=3"),
        ("<a>;rel=next", "a"),
        ('<a> ; title="x; rel=next, <b>" ; REL="last NEXT"', "a"),
        ('<a,b;c>; rel="next"', "a,b;c"),
        ('<a>; rel="nextish"', None),
        ('<a>; rel="prev"', None),
        ("", None),
        ("<" * 50_000, None),
        ("<a>" + ";" * 50_000, None),
    ],
)
def test_link_headers_are_read(header: str, link: str | None) -> None:
    assert next_link(header) == link


def test_shown_urls_hold_no_secrets_and_no_monsters() -> None:
    url = f"https://u:p@x.org/a?api_key=s&mine=s&page=3&cursor={'z' * 100}#f"
    assert shown_url(url, ["mine"]) == "https://x.org/a?page=3"


# -- positions ---------------------------------------------------------------------------------------------------


def test_positions_survive_json() -> None:
    said = options(pagination=CursorPagination("next"), incremental=Incremental("u", "since", until_param="until"))
    position = advance(said, first(said), facts(3, "t1"))
    position = replace(position, candidate="2026-11-22")
    assert Position.from_json(position.to_json()) == position


@pytest.mark.parametrize("cursor", [{}, {"nobody": "knows"}, {"page": 1, "window": {}}, {"page": {}, "window": None}])
def test_foreign_cursor_has_expired(cursor: dict[str, Any]) -> None:
    with pytest.raises(PassExpiredError, match=URL):
        begin(options(), Start(cursor=cursor), NOW)


def test_cursor_of_other_options_has_expired() -> None:
    cursor = first(options(params={"q": "a"})).to_json()
    with pytest.raises(PassExpiredError):
        begin(options(params={"q": "b"}), Start(cursor=cursor), NOW)


# -- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"url": "ftp://x.org"}, "url: must be an http or https URL"),
        ({"url": "https://"}, "url: must be"),
        ({"url": "http://[::1"}, "url: is malformed"),
        ({"url": "https://u:p@x.org"}, "url: credentials do not belong"),
        ({"auth": ApiKeyAuth("k")}, "auth: give either"),
        ({"auth": ApiKeyAuth("k", header="a", query="b")}, "auth: give either"),
        ({"auth": BasicAuth("a:b", "c")}, "auth.user: cannot hold a colon"),
        ({"pagination": PagePagination(size=5)}, "pagination: size and size_param go together"),
        ({"pagination": PagePagination(size_param="n", size=0)}, "pagination.size: must be at least 1"),
        ({"pagination": CursorPagination("a b")}, "pagination.next: not a JMESPath expression"),
        ({"records": "data["}, "records: not a JMESPath expression"),
        ({"incremental": Incremental("!", "since")}, "incremental.field: not a JMESPath"),
        ({"incremental": Incremental("a", "since", initial="soon")}, "incremental.initial: 'soon' is no time"),
        (
            {"incremental": Incremental("a", "since", lookback=timedelta(-1))},
            "incremental.lookback: cannot be negative",
        ),
        ({"max_pages": 0}, "max_pages: must be at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        options(**more)
    assert caught.value.message.startswith(f"source items: {reason}")


def test_partition_is_the_url_without_parameters() -> None:
    assert options(f"{URL}?api_key=s&x=1").partition() == URL


def test_secrets_are_in_no_name_position_or_hash() -> None:
    def made(secret: str) -> ApiOptions:
        url = f"https://api.example.org/{secret}/items?sig={secret}"
        more: dict[str, Any] = {"params": {"user": secret, "api_key": secret}, "secrets": [secret]}
        return options(url, **more, pagination=NextUrlPagination("next"))

    said, other = made("s3cret"), made("an0ther")
    assert said.partition() == "https://api.example.org/***/items"
    assert (said.reading_hash(), said.watching_hash()) == (other.reading_hash(), other.watching_hash())
    behind = advance(said, first(said), facts(1, "https://api.example.org/items?user=s3cret&api_key=s3cret&page=2"))
    assert behind.at == "https://api.example.org/items?page=2"
    assert url_of(said, behind) == "https://api.example.org/items?page=2&user=s3cret&api_key=s3cret"
