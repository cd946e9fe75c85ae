"""One request as it goes out, and the one that a redirect makes of it (RFC 9110 section 15.4).

Credentials stay with the origin they were meant for: another one gets none of them, in headers or parameters.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from kasparro.ingestion.http.body import ACCEPT_ENCODING
from kasparro.ingestion.http.contract import Validators
from kasparro.ingestion.http.failures import AttemptFailed
from kasparro.ingestion.http.secrecy import Secrecy, basic, without_userinfo

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE: Final = re.compile(r"([!-~\x80-\xff]([ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")


Host = tuple[str, int | None]
"""A host's name and port."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to make: the URL is without user and password, header names are lower case."""

    url: httpx.URL
    headers: Mapping[str, str]
    method: str = "GET"
    content: bytes | None = None

    @property
    def host(self) -> Host:
        """Whom it goes to."""
        return self.url.host, _port(self.url)

    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as bytes. Raises AttemptFailed, naming the header, for what HTTP cannot carry."""
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name):
                raise AttemptFailed("protocol", f"{name!r} cannot be the name of a header")
            if not _VALUE.fullmatch(value):
                fault = f"the header {name} has characters, or space at an end, that HTTP cannot carry"
                raise AttemptFailed("protocol", fault)
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in self.headers.items()]


def first_call(
    url: str,
    params: Mapping[str, str] | None,
    headers: Sequence[Mapping[str, str]],
    validators: Validators | None,
    secrecy: Secrecy,
) -> Call:
    """The request that a source asks for; later headers win over earlier ones. Raises AttemptFailed for a bad URL."""
    parsed = _parsed(url)
    merged = {name.lower(): value for given in headers for name, value in given.items()}
    if parsed.userinfo:
        secrecy.learn([parsed.password or parsed.username])
        merged.setdefault("authorization", basic(parsed))
    merged["accept-encoding"] = ACCEPT_ENCODING
    merged |= _conditions(validators)
    secrecy.learn_from(merged)
    target = without_userinfo(parsed).copy_with(fragment=None)
    return Call(target.copy_merge_params(params) if params else target, merged)


def redirect_location(status: int, headers: Mapping[str, str]) -> str | None:
    """Where an answer sends us, if it is a redirect."""
    location = headers.get("location", "") if status in _REDIRECTS else ""
    try:
        return location.encode("latin-1").decode("utf-8") or None
    except UnicodeDecodeError:
        return location


def redirected(call: Call, location: str, visited: Sequence[httpx.URL], secrecy: Secrecy) -> Call:
    """The request that follows after those visited. Raises AttemptFailed where it must not be made."""
    if len(visited) > MAX_REDIRECTS:
        raise AttemptFailed("redirect", f"more than {MAX_REDIRECTS} redirects")
    target = _target(call, location)
    if target in visited:
        raise AttemptFailed("redirect", f"redirect loop: leads back to {secrecy.url(target)}")
    if call.url.scheme == "https" and target.scheme == "http" and _carries_credentials(call, secrecy):
        raise AttemptFailed("redirect", f"redirected from https to {secrecy.url(target)}, which would show credentials")
    if _same_origin(call.url, target):
        return Call(target, call.headers)
    kept = {name: value for name, value in call.headers.items() if not secrecy.is_credential(name, value)}
    return Call(secrecy.without_secrets(target), kept)


def _carries_credentials(call: Call, secrecy: Secrecy) -> bool:
    in_headers = any(secrecy.is_credential(name, value) for name, value in call.headers.items())
    return in_headers or secrecy.without_secrets(call.url) != call.url


def _target(call: Call, location: str) -> httpx.URL:
    try:
        return _checked(without_userinfo(call.url.join(location)).copy_with(fragment=None))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AttemptFailed("redirect", f"redirected to something that is no URL: {location[:200]!r}") from error


def _parsed(url: str) -> httpx.URL:
    try:
        return _checked(httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AttemptFailed("url", f"this is no URL: {error}") from error


def _checked(url: httpx.URL) -> httpx.URL:
    if url.scheme not in _DEFAULT_PORTS:
        raise AttemptFailed("url", f'the scheme "{url.scheme}" is neither http nor https')
    if not url.host:
        raise AttemptFailed("url", "the URL names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise AttemptFailed("url", f"there is no port {url.port}")
    return url


def _conditions(validators: Validators | None) -> dict[str, str]:
    if validators is None:
        return {}
    named = {"if-none-match": validators.etag, "if-modified-since": validators.last_modified}
    return {name: value for name, value in named.items() if value}


def _port(url: httpx.URL) -> int | None:
    return url.port or _DEFAULT_PORTS.get(url.scheme)


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """The same scheme, host and port, or the step from http to https of one host at their usual ports."""
    if one.host != other.host:
        return False
    places = (one.scheme, _port(one)), (other.scheme, _port(other))
    return places[0] == places[1] or places == (("http", 80), ("https", 443))
