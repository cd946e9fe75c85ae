"""Before any route: is the request for this host and of a usual size, whose key does it bring, and may it ask now?

What may not pass is answered here. Pure ASGI, and one pass over the headers: every request goes through it.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from kasparro.api.authentication import INVALID_KEY, KeyHolder, KeyRing, read_authorization
from kasparro.api.bodies import read_whole, refuse_large
from kasparro.api.callers import caller_address
from kasparro.api.errors import problem_response
from kasparro.api.limits import RateLimiter
from kasparro.api.options import ApiOptions
from kasparro.core.api_keys import PresentedKey
from kasparro.core.errors import (
    DatabaseError,
    HeadersTooLargeError,
    KasparroError,
    MisdirectedRequestError,
    TooManyRequestsError,
    UnauthorizedError,
    UriTooLongError,
    UsageError,
)

PROBES: Final = frozenset({"/health/live", "/health/ready"})
"""Answered to anyone, always, without a look at keys or limits: orchestrators ask them."""
HEALTH: Final = "/health"
MAX_URI_BYTES: Final = 8 * 1024
MAX_PARAMETERS: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024
BAD_KEYS_PER_MINUTE: Final = 60
"""From one address; fewer where fewer requests are allowed."""
_LOCAL_NAME: Final = re.compile(rb"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]{1,5}\Z")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(slots=True)
class _Headers:
    """What of a request's headers is looked at."""

    size: int = 0
    hosts: list[bytes] = field(default_factory=list[bytes])
    authorization: list[bytes] = field(default_factory=list[bytes])
    forwarded_for: list[bytes] = field(default_factory=list[bytes])
    content_length: bytes = b""
    content_type: bytes = b""


class Gate:
    """Puts the holder of a good key into `request.state.holder`, and answers what may not pass."""

    def __init__(self, app: ASGIApp, *, options: ApiOptions, keys: KeyRing) -> None:
        self._app = app
        self._options = options
        self._keys = keys
        per_minute = options.requests_per_minute
        self._requests = RateLimiter("requests", per_minute)
        self._bad_keys = RateLimiter("bad-keys", min(per_minute, BAD_KEYS_PER_MINUTE) or BAD_KEYS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES:
            try:
                receive = await self._let_in(scope, receive)
            except KasparroError as error:
                await problem_response(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive) -> Receive:
        """The way to the body. Raises the house error that says why the request may not pass."""
        headers = _read_headers(scope)
        address = caller_address(scope, headers.forwarded_for, self._options.trusted_proxies)
        scope["state"]["client_address"] = address
        scope["state"]["holder"] = await self._admit(scope, headers, address)
        _refuse_oversize(scope, headers)
        _refuse_other_names(headers, self._options)
        return await read_whole(receive, headers.content_type) if scope["method"] in _WITH_BODY else receive

    async def _admit(self, scope: Scope, headers: _Headers, address: str) -> KeyHolder | None:
        """The holder of the key, None without one. What is asked without a good key counts for the address."""
        if not headers.authorization:
            self._count(scope, address, "address")
            return None
        key = read_authorization(headers.authorization)
        holder = None if key is None else self._keys.recall(key)
        if holder is None:
            holder = await self._check(scope, key, address)
        if holder is not None:
            self._count(scope, holder.key_id, "key")
        return holder

    async def _check(self, scope: Scope, key: PresentedKey | None, address: str) -> KeyHolder | None:
        """Ask the database, unless this address has asked for too many bad keys."""
        guess = key is None or not self._keys.was_good(key)
        if guess:
            self._count(scope, address, "address")
            self._count_guess(scope, address)
        if key is None:
            raise UnauthorizedError(INVALID_KEY, invalid=True)
        try:
            holder = await self._keys.check(key)
        except DatabaseError:
            if scope["path"] == HEALTH:  # it says itself that the database is gone
                return None
            raise
        if guess:
            self._bad_keys.give_back(address)
            self._requests.give_back(address)
        return holder

    def _count(self, scope: Scope, caller: str, kind: str) -> None:
        standing = self._requests.take(caller)
        scope["state"]["reply_headers"] = self._requests.fields(standing)
        if standing.retry_after_seconds:
            raise TooManyRequestsError(
                f"this {kind} may ask {self._requests.per_minute:,} times a minute",
                retry_after_seconds=standing.retry_after_seconds,
            )

    def _count_guess(self, scope: Scope, address: str) -> None:
        standing = self._bad_keys.take(address)
        if standing.retry_after_seconds:
            scope["state"]["reply_headers"] = self._bad_keys.fields(standing)
            raise TooManyRequestsError(
                "too many bad keys came from this address", retry_after_seconds=standing.retry_after_seconds
            )


def _read_headers(scope: Scope) -> _Headers:
    found = _Headers()
    for name, value in scope["headers"]:
        found.size += len(name) + len(value)
        if name == b"host":
            found.hosts.append(value)
        elif name == b"authorization":
            found.authorization.append(value)
        elif name == b"x-forwarded-for":
            found.forwarded_for.append(value)
        elif name == b"content-length":
            found.content_length = value
        elif name == b"content-type":
            found.content_type = value
    return found


def _refuse_oversize(scope: Scope, headers: _Headers) -> None:
    query: bytes = scope["query_string"]
    if len(scope["path"]) + len(query) > MAX_URI_BYTES:
        raise UriTooLongError(f"path and query have at most {MAX_URI_BYTES:,} bytes")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise UsageError(f"a query has at most {MAX_PARAMETERS} parameters")
    if headers.size > MAX_HEADER_BYTES:
        raise HeadersTooLargeError(f"headers have at most {MAX_HEADER_BYTES:,} bytes")
    if headers.content_length:
        refuse_large(headers.content_length)


def _refuse_other_names(headers: _Headers, options: ApiOptions) -> None:
    """A page that turns its own name to this machine (DNS rebinding) still says that name here."""
    if options.allowed_hosts:
        names = {_PORT.sub("", host.decode("latin-1").lower()) for host in headers.hosts}
        if not names <= options.allowed_hosts:
            raise MisdirectedRequestError(
                "this server does not answer as the host that was asked",
                hint="KASPARRO_ALLOWED_HOSTS lists the names that it answers as",
            )
    elif options.local_names_only and not all(map(_LOCAL_NAME.fullmatch, headers.hosts)):
        raise MisdirectedRequestError(
            "this server answers as localhost, 127.0.0.1 or [::1] only",
            hint="for other names, behind a proxy for instance, list them in KASPARRO_ALLOWED_HOSTS",
        )
