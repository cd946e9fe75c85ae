"""What a user may say about a REST API: plain values, checked where they meet."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from kasparro.core.errors import ConfigurationError
from kasparro.core.masking import MASK, is_secret_name
from kasparro.ingestion.sources.api.stamps import StampFormat, parse_stamp
from kasparro.ingestion.sources.api.urls import shown_url, without_params
from kasparro.schemas.configuration.expressions import compile_expression

MAX_PAGES: Final = 100_000


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """A key in a header or in a query parameter: exactly one of the two names is given."""

    value: str = field(repr=False)
    header: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """`Authorization: Bearer` (RFC 6750)."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`Authorization: Basic` (RFC 7617)."""

    user: str
    password: str = field(repr=False)


Auth = ApiKeyAuth | BearerAuth | BasicAuth


@dataclass(frozen=True, slots=True)
class PagePagination:
    """Pages are numbered; an empty page is the last. `size` is sent as `size_param`."""

    param: str = "page"
    start: int = 1
    size_param: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class OffsetPagination:
    """Pages begin at a record's number, and go on behind the last record received; an empty page is the last."""

    param: str = "offset"
    start: int = 0
    size_param: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CursorPagination:
    """`next` is the JMESPath of a token in the page, sent as `param` for the next one; none, null or empty ends it."""

    next: str
    param: str = "cursor"
    size_param: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NextUrlPagination:
    """`next` is the JMESPath of the next page's URL in the page, relative or absolute; none, null or empty ends it."""

    next: str
    size_param: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class LinkHeaderPagination:
    """The next page's URL stands in the `Link` header with rel next (RFC 8288)."""

    size_param: str | None = None
    size: int | None = None


Pagination = PagePagination | OffsetPagination | CursorPagination | NextUrlPagination | LinkHeaderPagination


@dataclass(frozen=True, slots=True)
class Incremental:
    """Ask only for what changed since the greatest `field` (JMESPath in a record) of the last complete pass.

    `param` and `until_param` take the window's ends in `param_format` (None: in `format`, as the field has them); the
    beginning is inclusive, `lookback` earlier than what was seen. `initial` is the beginning of the very first window,
    in `format` (none: everything).
    """

    field: str
    param: str
    format: StampFormat = "iso8601"
    lookback: timedelta = timedelta(0)
    until_param: str | None = None
    initial: str | None = None
    param_format: StampFormat | None = None

    def found_nowhere(self) -> str:
        """What is wrong where no record has a time that can be a watermark."""
        return f'no record has a time at "{self.field}" that reads as {self.format} and is not in the future'


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """One resource, read with GET. Raises ConfigurationError for values that do not go together.

    `records` is the JMESPath of the list of records in a page; None: the page itself, a list, or one record. `params`
    and `headers` go with every request, except that a URL given by the server keeps its own parameters.
    `end_statuses`: answers that mean, beyond the first page, that there are no more (None: 400 and 404 for numbered
    pages, nothing else). URLs of another host are refused unless `allow_other_hosts`, and get neither headers nor
    credentials. `secrets` are values that must be shown and stored nowhere.
    """

    name: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth: Auth | None = None
    records: str | None = None
    pagination: Pagination | None = None
    incremental: Incremental | None = None
    end_statuses: frozenset[int] | None = None
    max_pages: int = MAX_PAGES
    allow_other_hosts: bool = False
    secrets: Collection[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        self._check_url()
        self._check_auth()
        self._check_pagination()
        self._check_incremental()
        for name, expression in self._expressions().items():
            try:
                compile_expression(expression)
            except ValueError as error:
                raise self._wrong(name, str(error)) from None

    def partition(self) -> str:
        """The name of the one partition: the URL without credentials and parameters."""
        return self.shown(urlsplit(self.url)._replace(query="").geturl())

    def shown(self, url: str) -> str:
        """A URL for messages, locators and names."""
        return self._masked(shown_url(url, self.secret_params()))

    def secret_params(self) -> dict[str, str]:
        """Query parameters that are never shown nor stored, and go to the source's own host alone."""
        secrets = {name: value for name, value in self.params.items() if self._is_secret(name, value)}
        if isinstance(self.auth, ApiKeyAuth) and self.auth.query is not None:
            secrets[self.auth.query] = self.auth.value
        return secrets

    def end_of_pages(self) -> frozenset[int]:
        """Statuses that end the pages, beyond the first."""
        if self.end_statuses is not None:
            return self.end_statuses
        return frozenset((400, 404)) if isinstance(self.pagination, PagePagination | OffsetPagination) else frozenset()

    def watching_hash(self) -> str:
        """Changes when a watermark or validators found under other options mean nothing any more."""
        return _hash(self._watched())

    def reading_hash(self) -> str:
        """Changes when a position inside a pass found under other options means nothing any more."""
        return _hash([*self._watched(), asdict(self.pagination) if self.pagination else None])

    def _watched(self) -> list[object]:
        incremental = self.incremental
        window = [incremental.field, incremental.param, incremental.format] if incremental else None
        secrets = self.secret_params()
        params = {name: value for name, value in self.params.items() if name not in secrets}
        url = self._masked(without_params(self.url, secrets))
        return [url, params, self.records, type(self.pagination).__name__, window]

    def _masked(self, text: str) -> str:
        for secret in filter(None, self.secrets):
            text = text.replace(secret, MASK)
        return text

    def _is_secret(self, name: str, value: str) -> bool:
        return is_secret_name(name) or any(secret in value for secret in self.secrets if secret)

    def _check_url(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            raise self._wrong("url", "is malformed") from None
        if not valid:
            raise self._wrong("url", "must be an http or https URL with a host")
        if "@" in parts.netloc:
            raise self._wrong("url", "credentials do not belong into the URL: give them as auth")

    def _check_incremental(self) -> None:
        incremental = self.incremental
        if incremental is None:
            return
        if incremental.lookback < timedelta(0):
            raise self._wrong("incremental.lookback", "cannot be negative")
        if incremental.initial is not None and parse_stamp(incremental.initial, incremental.format) is None:
            raise self._wrong("incremental.initial", f"{incremental.initial!r} is no time in {incremental.format}")

    def _check_auth(self) -> None:
        auth = self.auth
        if isinstance(auth, ApiKeyAuth) and (auth.header is None) == (auth.query is None):
            raise self._wrong("auth", "give either header or query")
        if isinstance(auth, BasicAuth) and ":" in auth.user:
            raise self._wrong("auth.user", "cannot hold a colon (RFC 7617)")

    def _check_pagination(self) -> None:
        if self.max_pages < 1:
            raise self._wrong("max_pages", "must be at least 1")
        pagination = self.pagination
        if pagination is None:
            return
        if (pagination.size is None) != (pagination.size_param is None):
            raise self._wrong("pagination", "size and size_param go together")
        if pagination.size is not None and pagination.size < 1:
            raise self._wrong("pagination.size", "must be at least 1")

    def _expressions(self) -> dict[str, str]:
        given = {
            "records": self.records,
            "pagination.next": getattr(self.pagination, "next", None),
            "incremental.field": self.incremental.field if self.incremental else None,
        }
        return {name: expression for name, expression in given.items() if expression is not None}

    def _wrong(self, option: str, reason: str) -> ConfigurationError:
        return ConfigurationError(f"source {self.name}: {option}: {reason}")


def _hash(said: list[object]) -> str:
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()
