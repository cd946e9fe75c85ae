"""What may be said about a source of type `api`."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, SecretStr, StringConstraints, Tag, model_validator

from kasparro.schemas.configuration.base import OneOrMore, without_repeats
from kasparro.schemas.configuration.choice import by_type
from kasparro.schemas.configuration.expressions import Expression, JsonPath
from kasparro.schemas.configuration.mapping import PathMap
from kasparro.schemas.configuration.strict import Strict, require_one
from kasparro.schemas.configuration.times import Duration
from kasparro.schemas.configuration.upstream import HeaderName, HttpSourceConfig, Url
from kasparro.schemas.configuration.version import VersionPath, require_counted
from kasparro.schemas.readings import Defective, decimal_reading, time_reading

ParamName = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Paths = Annotated[tuple[JsonPath, ...], Field(min_length=1), AfterValidator(without_repeats)]


class ApiKeyAuth(Strict):
    """A key in a header or in a parameter of the URL."""

    type: Literal["api_key"]
    """The kind of authentication."""
    header: HeaderName | None = None
    """The header that holds the key, such as `X-API-Key`."""
    query: ParamName | None = None
    """The parameter that holds the key, where there is no header for it: URLs end up in logs of others."""
    value: Secret
    """The key: `${API_KEY}` rather than the key itself."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        require_one(header=self.header, query=self.query)
        return self


class BearerAuth(Strict):
    """A token in the header `Authorization: Bearer` (RFC 6750)."""

    type: Literal["bearer"]
    """The kind of authentication."""
    token: Secret
    """The token: `${TOKEN}` rather than the token itself."""


class BasicAuth(Strict):
    """User and password in the header `Authorization: Basic` (RFC 7617)."""

    type: Literal["basic"]
    """The kind of authentication."""
    user: Annotated[str, StringConstraints(min_length=1, pattern=r"^[^:]*$")]
    """The user, without a colon."""
    password: SecretStr
    """The password: `${PASSWORD}` rather than the password itself."""


class _Pages(Strict):
    size_param: ParamName | None = None
    """The parameter by which the size of a page is asked for, such as `limit`."""
    size: Annotated[int, Field(ge=1)] | None = None
    """The size of a page; goes with `size_param`."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.size is None) != (self.size_param is None):
            raise ValueError("size and size_param go together")
        return self


class PagePagination(_Pages):
    """Pages are numbered; an empty one is the last. What is deleted at the server while they are read lets others slip
    past, until the next complete reading: page by tokens where the server can, else order by what never changes."""

    type: Literal["page"]
    """How the next page is found."""
    param: ParamName = "page"
    """The parameter that holds the page's number."""
    start: Annotated[int, Field(ge=0)] = 1
    """The first page's number."""


class OffsetPagination(_Pages):
    """A page begins at the number of a record; an empty one is the last. What is deleted lets records slip past, as
    with `page`."""

    type: Literal["offset"]
    """How the next page is found."""
    param: ParamName = "offset"
    """The parameter that holds the number of the page's first record."""
    start: Annotated[int, Field(ge=0)] = 0
    """The first record's number."""


class CursorPagination(_Pages):
    """Each page holds a token by which the next is asked for; without one it is the last."""

    type: Literal["cursor"]
    """How the next page is found."""
    next: JsonPath
    """Where the token stands in a page, such as `meta.next_cursor`."""
    param: ParamName = "cursor"
    """The parameter that holds the token."""


class NextUrlPagination(_Pages):
    """Each page holds the URL of the next; without one it is the last."""

    type: Literal["next_url"]
    """How the next page is found."""
    next: JsonPath
    """Where the URL stands in a page, such as `next` or `links.next`."""


class LinkHeaderPagination(_Pages):
    """The header `Link` holds the URL of the next page with rel `next` (RFC 8288); without one it is the last."""

    type: Literal["link_header"]
    """How the next page is found."""


class Incremental(Strict):
    """Asks only for what changed since the last complete pass."""

    field: JsonPath
    """Where the time of the last change stands in a record, such as `updated_at`. Where no record of a run has a usable
    one, the next run reads all of them again, and the log says so (`api.no_watermark`)."""
    param: ParamName
    """The parameter that asks for records changed since then."""
    format: Literal["iso8601", "epoch_ms", "epoch_s"] = "iso8601"
    """How the server writes and reads it: as ISO 8601, or as milliseconds or seconds since 1970."""
    param_format: Literal["iso8601", "epoch_ms", "epoch_s"] | None = None
    """How it reads the parameters, where that is another way. As `format` when absent."""
    lookback: Duration = timedelta(0)
    """How much earlier to begin than what was seen last, for records that become visible late."""
    until_param: ParamName | None = None
    """The parameter that ends the window, where the server has one: a pass then ends where its beginning was now."""
    initial: Annotated[str, Field(min_length=1)] | None = None
    """Where the very first window begins, in `format`. Everything when absent."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        reading = time_reading("UTC", frozenset()) if self.format == "iso8601" else decimal_reading(frozenset())
        try:
            if self.initial is not None:
                reading(self.initial)
        except Defective as defective:
            raise ValueError(f"initial: {defective.message} (format: {self.format})") from None
        return self


Auth = Annotated[
    Annotated[ApiKeyAuth, Tag("<api_key>")]
    | Annotated[BearerAuth, Tag("<bearer>")]
    | Annotated[BasicAuth, Tag("<basic>")],
    Discriminator(by_type(ApiKeyAuth, BearerAuth, BasicAuth)),
]
Pagination = Annotated[
    Annotated[PagePagination, Tag("<page>")]
    | Annotated[OffsetPagination, Tag("<offset>")]
    | Annotated[CursorPagination, Tag("<cursor>")]
    | Annotated[NextUrlPagination, Tag("<next_url>")]
    | Annotated[LinkHeaderPagination, Tag("<link_header>")],
    Discriminator(by_type(PagePagination, OffsetPagination, CursorPagination, NextUrlPagination, LinkHeaderPagination)),
]


class ApiSourceConfig(HttpSourceConfig):
    """A source of type `api`: a resource of a REST API that answers JSON, read with GET."""

    type: Literal["api"]
    """What kind of source it is. Fixed once it has data."""
    url: Url
    """The resource, such as `https://api.example.org/v1/assets`."""
    key: Annotated[Paths, OneOrMore]
    """The path, or the list of paths, to the values that name a record, such as `id`. Fixed once there is data."""
    map: PathMap
    """Which value of a record becomes which field of the unified record."""
    ignore: tuple[ParamName, ...] = ()
    """Members, or paths such as `meta.views`, whose changes alone do not make a record changed (they are stored all the
    same)."""
    version: VersionPath | None = None
    """What tells which of two states of a record is the newer one, such as `updated_at`: a path alone, to times, or
    `field` with a `type`. A state older than the one that stands counts as unchanged. The last one to come stands when
    absent."""
    params: Annotated[dict[ParamName, str], Field(default_factory=dict[str, str])]
    """Parameters of the URL to send with every request."""
    auth: Auth | None = None
    """How the server knows who asks."""
    records: Expression | None = None
    """Where the list of records stands in a page, such as `data.items` (JMESPath). The page itself when absent."""
    pagination: Pagination | None = None
    """How the next page is found. There is one page when absent."""
    incremental: Incremental | None = None
    """How only what changed is asked for. Everything is read every time when absent."""
    end_statuses: tuple[Annotated[int, Field(ge=400, le=599)], ...] | None = None
    """Statuses that mean, beyond the first page, that there are no more. When absent: 400 and 404 for `page` and
    `offset`, nothing for the others."""
    max_pages: Annotated[int, Field(ge=1)] = 100_000
    """A pass with more pages than this is an error."""
    allow_other_hosts: bool = False
    """Whether the server may send us to pages on another host. They never get the credentials."""

    @model_validator(mode="after")
    def _counts_version(self) -> Self:
        require_counted(self.version, self.ignore, is_path=True)
        return self

    @model_validator(mode="after")
    def _reads_completely(self) -> Self:
        if self.deletes is None or not self.deletes.snapshot:
            return self
        if self.incremental is not None:
            raise ValueError("deletes.snapshot cannot go with incremental, which never asks for every record")
        if isinstance(self.pagination, PagePagination | OffsetPagination):
            kind = self.pagination.type
            raise ValueError(f"deletes.snapshot cannot go with pagination by {kind}, where records slip past pages")
        return self
