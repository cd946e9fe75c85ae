"""Splits a libpq connection string, URL or key=value pairs, into its parameters.

The forms are those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING. No error shows a
value: a password with a character that should have been percent-encoded turns up in any part of a URL.
"""

import re
from typing import Final
from urllib.parse import unquote

from kasparro.core.errors import DatabaseUrlError

_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^\[\]:]*))(?::(?P<port>[^:]*))?")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_PAIR: Final = re.compile(
    r"\s*(?P<name>\w+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'(?!\S)|(?P<bare>(?!')(?:[^\s\\]|\\.)*))"
)
_ENCODE_HINT: Final = "percent-encode @ : / ? # % in user and password"


def split(text: str) -> dict[str, str]:
    """Parameters by libpq's names; a URL's host list becomes comma-separated `host` and `port`.

    Raises DatabaseUrlError.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _split_pairs(text)
    if scheme["scheme"] not in _SCHEMES:
        raise DatabaseUrlError(
            f"DATABASE_URL: scheme {scheme['scheme']!r} is not supported",
            hint="use postgresql://user@host:port/database",
        )
    return _split_url(text[scheme.end() :])


def _split_url(rest: str) -> dict[str, str]:
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    credentials, found, hosts = authority.rpartition("@")
    if "@" in credentials + path or (not found and "@" in query):
        raise _malformed("there is an @ in an unexpected place", hint=_ENCODE_HINT)
    parameters = {**_credentials(credentials), **_hosts(hosts)}
    if path:
        parameters["dbname"] = _decode(path, "the database name")
    return {**parameters, **_query(query)}


def _credentials(text: str) -> dict[str, str]:
    user, _, password = text.partition(":")
    decoded = {"user": _decode(user, "the user name"), "password": _decode(password, "the password")}
    return {name: value for name, value in decoded.items() if value}


def _hosts(text: str) -> dict[str, str]:
    if not text:
        return {}
    matches = [_HOST.fullmatch(item) for item in text.split(",")]
    hosts = [_decode(match["ipv6"] or match["host"], "a host") for match in matches if match]
    if len(hosts) != len(matches):
        raise _malformed("the host list cannot be read", hint=_ENCODE_HINT)
    ports = [match["port"] or "" for match in matches if match]
    return {"host": ",".join(hosts)} | ({"port": ",".join(ports)} if any(ports) else {})


def _query(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for item in text.split("&") if text else ():
        name, found, value = item.partition("=")
        if not found or not name:
            raise _malformed("a parameter after ? is not of the form name=value", hint=_ENCODE_HINT)
        parameters[_decode(name, "a parameter's name")] = _decode(value, _decode(name, "a parameter's name"))
    return parameters


def _split_pairs(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    position = 0
    end = len(text.rstrip())
    while position < end:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise _malformed(
                "neither a postgresql:// URL nor key=value pairs", hint="quote values with spaces: key='a b'"
            )
        value = pair["bare"] if pair["quoted"] is None else pair["quoted"]
        parameters[pair["name"]] = re.sub(r"\\(.)", r"\1", value)
        position = pair.end()
    return parameters


def _decode(text: str, where: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise _malformed(f"a % in {where} is not followed by two hexadecimal digits", hint="write % as %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _malformed(f"{where} is not UTF-8") from None


def _malformed(reason: str, *, hint: str | None = None) -> DatabaseUrlError:
    return DatabaseUrlError(f"DATABASE_URL: {reason}", hint=hint)
