"""URLs: parameters added and taken out without touching the rest, origins, and what may be shown."""

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode, urljoin, urlsplit

from kasparro.core.errors import SourceError
from kasparro.core.masking import MASK, is_secret_name, mask_text
from kasparro.schemas.readings import shown

_MAX_SHOWN_VALUE: Final = 64
_PORTS: Final = {"http": 80, "https": 443}
_LINK: Final = re.compile(
    r"<(?P<url>[^<>]*)>(?P<params>(?:\s*;\s*[^\s=;,<>]+(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,\"<>]*))?)*)"
)
_REL: Final = re.compile(r";\s*rel\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<token>[^\s;,\"]*))", re.IGNORECASE)


def with_params(url: str, params: Mapping[str, str]) -> str:
    """The URL with these parameters, which replace those of the same name."""
    return _with_query(url, params, [urlencode(params, quote_via=quote)] if params else [])


def without_params(url: str, names: Collection[str]) -> str:
    """The URL without these parameters."""
    return _with_query(url, names, [])


def shown_url(url: str, secret_params: Collection[str] = ()) -> str:
    """The URL for people: no credentials, no secret or very long parameters, no fragment."""
    parts = urlsplit(url)
    base = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    pieces = [piece for piece in parts.query.split("&") if piece and _may_be_shown(piece, secret_params)]
    return mask_text(base + "?" + "&".join(pieces) if pieces else base)


def is_own_origin(url: str, own_url: str) -> bool:
    """Whether scheme, host and port are the source's own (RFC 6454), or the same host by https instead of http."""
    return _origin(url) == _origin(own_url) or _is_upgrade(url, own_url)


def following_url(link: str, page_url: str, own_url: str, *, allow_other_hosts: bool) -> str:
    """The URL that a page gives for the next one, resolved against the page's own.

    One of the source's host that says http where the source says https (a server behind a proxy does) is taken as
    https. Raises SourceError for another origin, unless that is allowed, and for what is no http URL.
    """
    url = _resolved(link, own_url if MASK in page_url else page_url, own_url)
    if url is None:
        raise SourceError(f"{shown_url(own_url)}: the next page's URL is not an http URL: {mask_text(shown(link))}")
    if not allow_other_hosts and not is_own_origin(url, own_url):
        raise SourceError(
            f"{shown_url(own_url)}: the next page's URL leads to another host: {shown_url(url)}",
            hint="set allow_other_hosts if that is right; credentials are never sent there",
        )
    return url


def is_counted(at: int | str, page_url: str) -> bool:
    """Whether a page is asked for by its place: by a number, or by a URL with a number that the page before lacks.

    A number may also be a key to go on behind; that cannot be told from outside.
    """
    if isinstance(at, int) or at.isdecimal():
        return True
    here, there = urlsplit(page_url), urlsplit(at)
    new = {value for _, value in set(parse_qsl(there.query)) - set(parse_qsl(here.query))}
    new |= set(there.path.split("/")) - set(here.path.split("/"))
    return any(part.isdecimal() for part in new)


def next_link(header: str) -> str | None:
    """The target of the first link with the relation `next` in a `Link` header (RFC 8288), None without one."""
    for link in _LINK.finditer(header):
        rel = _REL.search(link["params"])
        if rel is not None and "next" in (rel["quoted"] or rel["token"] or "").lower().split():
            return link["url"]
    return None


def _resolved(link: str, base: str, own_url: str) -> str | None:
    """The absolute form of a link, None for what is no http URL, or one with credentials in it."""
    try:
        parts = urlsplit(urljoin(base, link.strip()))._replace(fragment="")
        own = urlsplit(own_url)
        is_on_default_ports = parts.port is None and own.port is None
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    if is_on_default_ports and parts.hostname == own.hostname and own.scheme == "https":
        parts = parts._replace(scheme="https")
    return parts.geturl()


def _with_query(url: str, replaced: Collection[str], added: list[str]) -> str:
    parts = urlsplit(url)
    kept = [piece for piece in parts.query.split("&") if piece and _name(piece) not in replaced]
    return parts._replace(query="&".join([*kept, *added])).geturl()


def _name(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])


def _may_be_shown(piece: str, secret_params: Collection[str]) -> bool:
    name = _name(piece)
    return name not in secret_params and not is_secret_name(name) and len(piece) - len(name) <= _MAX_SHOWN_VALUE


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _is_upgrade(url: str, own_url: str) -> bool:
    """The same host by https, where the source says http: credentials are safer there than here."""
    new, own = urlsplit(url), urlsplit(own_url)
    return (new.scheme, own.scheme, new.hostname) == ("https", "http", own.hostname) and {new.port, own.port} == {None}
