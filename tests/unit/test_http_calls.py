"""What goes out, and what a redirect makes of it."""

import httpx
import pytest

from kasparro.ingestion.http.calls import Call, first_call, redirect_location, redirected
from kasparro.ingestion.http.contract import Validators
from kasparro.ingestion.http.failures import AttemptFailed
from kasparro.ingestion.http.secrecy import Secrecy

KEY = "k3y/with+odd=chars"
NO_SECRETS = Secrecy((), {})


def call(url: str, **headers: str) -> Call:
    return Call(httpx.URL(url), {name.replace("_", "-"): value for name, value in headers.items()})


def follow(before: Call, location: str, secrecy: Secrecy = NO_SECRETS) -> Call:
    return redirected(before, location, [before.url], secrecy)


def test_later_headers_win_whatever_their_case_and_encodings_are_ours_alone() -> None:
    given = [{"user-agent": "ours", "accept": "*/*"}, {"Accept": "text/csv", "Accept-Encoding": "br"}]
    made = first_call("https://example.org/a", None, given, None, NO_SECRETS)
    assert made.headers == {"user-agent": "ours", "accept": "text/csv", "accept-encoding": "gzip, deflate"}


def test_validators_become_conditions() -> None:
    made = first_call(
        "https://example.org/", None, [], Validators('W/"a"', "Fri, 15 Jan 2027 08:00:00 GMT"), NO_SECRETS
    )
    assert made.headers["if-none-match"] == 'W/"a"'
    assert made.headers["if-modified-since"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    only_etag = first_call("https://example.org/", None, [], Validators(etag='"b"'), NO_SECRETS)
    assert "if-modified-since" not in only_etag.headers


def test_parameters_replace_those_of_the_url_and_a_url_without_parameters_stays_as_it_is() -> None:
    assert str(first_call("https://e.org/?a=1&b=2", {"b": "3"}, [], None, NO_SECRETS).url) == "https://e.org/?a=1&b=3"
    assert str(first_call("https://e.org/?x&y=%2f#end", None, [], None, NO_SECRETS).url) == "https://e.org/?x&y=%2f"


def test_user_and_password_of_a_url_become_a_header_and_leave_the_url() -> None:
    secrecy = Secrecy((), {})
    made = first_call("https://ada:s3cr%40t@example.org/a", None, [], None, secrecy)
    assert str(made.url) == "https://example.org/a"
    assert made.headers["authorization"] == "Basic YWRhOnMzY3JAdA=="
    assert secrecy.text("s3cr@t or YWRhOnMzY3JAdA==") == "*** or ***"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/a", 'the scheme "ftp" is neither http nor https'),
        ("file:///etc/passwd", 'the scheme "file" is neither http nor https'),
        ("/just/a/path", 'the scheme "" is neither http nor https'),
        ("https:///a", "the URL names no host"),
        ("https://exa mple.org:x/", "this is no URL"),
        ("https://example.org:99999/", "there is no port 99999"),
        ("https://example.org:0/", "there is no port 0"),
    ],
)
def test_what_is_no_http_url_is_refused(url: str, why: str) -> None:
    with pytest.raises(AttemptFailed, match=why) as failed:
        first_call(url, None, [], None, NO_SECRETS)
    assert not failed.value.retryable


@pytest.mark.parametrize("value", ["with\nnewline", "nul\0", "arrow →", " space before", "space after\r\n", "\x7f"])
def test_a_header_that_cannot_be_sent_is_named_without_its_value(value: str) -> None:
    with pytest.raises(AttemptFailed, match="the header x-api-key has characters") as failed:
        call("https://example.org/", x_api_key=value).encoded_headers()
    assert value.strip() not in failed.value.message


@pytest.mark.parametrize("name", ["x key", "x:key", "schlüssel", "", "x\n"])
def test_what_cannot_name_a_header_is_refused(name: str) -> None:
    with pytest.raises(AttemptFailed, match="cannot be the name of a header"):
        Call(httpx.URL("https://example.org/"), {name: "value"}).encoded_headers()


def test_headers_outside_ascii_are_sent_as_latin_1() -> None:
    assert call("https://example.org/", x_name="é").encoded_headers() == [(b"x-name", b"\xe9")]


def test_only_redirects_with_a_location_lead_on() -> None:
    assert [redirect_location(status, {"location": "/b"}) for status in (301, 302, 303, 307, 308)] == ["/b"] * 5
    assert [redirect_location(status, {"location": "/b"}) for status in (300, 304, 401, 500)] == [None] * 4
    assert redirect_location(302, {}) is None


def test_a_location_in_utf_8_is_read_as_such() -> None:
    assert redirect_location(302, {"location": "/é".encode().decode("latin-1")}) == "/é"
    assert redirect_location(302, {"location": "/\xe9"}) == "/\xe9"


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b?c=1", "https://example.org/b?c=1"),
        ("b", "https://example.org/a/b"),
        ("?page=2", "https://example.org/a/?page=2"),
        ("//other.org/b", "https://other.org/b"),
        ("https://other.org/b#part", "https://other.org/b"),
        ("https://user:pw@other.org/b", "https://other.org/b"),
    ],
)
def test_a_location_is_read_against_the_url_before(location: str, leads_to: str) -> None:
    assert str(follow(call("https://example.org/a/?x=1"), location).url) == leads_to


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://example.org/", "data:text/plain,x", "javascript:1"]
)
def test_a_redirect_leads_to_http_and_https_alone(location: str) -> None:
    with pytest.raises(AttemptFailed, match="neither http nor https"):
        follow(call("https://example.org/"), location)


def test_the_same_origin_keeps_credentials() -> None:
    before = call("https://example.org/a", authorization="Bearer abcdefgh", accept="text/csv")
    assert follow(before, "https://example.org:443/b").headers == before.headers
    upgraded = follow(call("http://example.org/a", authorization="Bearer abcdefgh"), "https://example.org/a")
    assert upgraded.headers == {"authorization": "Bearer abcdefgh"}


@pytest.mark.parametrize(
    "location",
    ["https://other.org/b", "https://example.org:8443/b", "https://sub.example.org/b", "//example.org.evil.org/"],
)
def test_another_origin_gets_no_credentials(location: str) -> None:
    secrecy = Secrecy([KEY], {})
    before = call(
        "https://example.org/a",
        authorization="Bearer abcdefgh",
        cookie="a=b",
        x_api_key="something",
        x_custom=KEY,
        accept="text/csv",
        if_none_match='"e"',
    )
    assert follow(before, location, secrecy).headers == {"accept": "text/csv", "if-none-match": '"e"'}


def test_another_origin_gets_no_parameter_with_a_secret() -> None:
    secrecy = Secrecy([KEY], {})
    before = call("https://example.org/a")
    location = "/a?page=2&key=k3y%2Fwith%2Bodd%3Dchars&x=k3y/with%2bodd=chars"
    assert follow(before, "https://other.org" + location, secrecy).url == "https://other.org/a?page=2"
    assert str(follow(before, location, secrecy).url) == "https://example.org" + location


def test_credentials_do_not_go_from_https_to_http() -> None:
    refused = "redirected from https to http://example.org/a"
    with pytest.raises(AttemptFailed, match=refused):
        follow(call("https://example.org/a", x_api_key="something"), "http://example.org/a")
    with pytest.raises(AttemptFailed, match=refused):
        follow(call(f"https://example.org/a?key={KEY}"), "http://example.org/a", Secrecy([KEY], {}))
    assert str(follow(call("https://example.org/a"), "http://example.org/a").url) == "http://example.org/a"


def test_a_loop_and_an_eleventh_redirect_are_refused() -> None:
    before = call("https://example.org/a")
    with pytest.raises(AttemptFailed, match=r"redirect loop: leads back to https://example\.org/b"):
        redirected(before, "/b", [httpx.URL("https://example.org/b"), before.url], NO_SECRETS)
    eleven = [httpx.URL(f"https://example.org/{number}") for number in range(11)]
    with pytest.raises(AttemptFailed, match="more than 10 redirects"):
        redirected(before, "/b", eleven, NO_SECRETS)
    assert redirected(before, "/b", eleven[:10], NO_SECRETS).url == "https://example.org/b"
