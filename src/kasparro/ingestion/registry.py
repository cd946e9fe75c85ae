"""From a source's configuration to the objects that read and transform it: the one place that knows all types."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kasparro.ingestion.columns.mapping import compile_columns
from kasparro.ingestion.http.contract import Fetcher, HttpPolicy
from kasparro.ingestion.mapping import compile_fields, compile_key, compile_mapping
from kasparro.ingestion.paths import compile_search
from kasparro.ingestion.source import Defect, Payload, RecordRejected, Source
from kasparro.ingestion.sources import api
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource
from kasparro.ingestion.sources.rss.options import RssOptions
from kasparro.ingestion.transform import Transformer
from kasparro.ingestion.versions import compile_version
from kasparro.schemas.configuration import AnySourceConfig, ApiSourceConfig, CsvSourceConfig, RssSourceConfig
from kasparro.schemas.configuration import api as written
from kasparro.schemas.configuration.secrets import secret_values
from kasparro.schemas.readings import Defective


class Fetchers(Protocol):
    """Gives a client that keeps to a source's policy (`HttpClient.bound`)."""

    def __call__(self, policy: HttpPolicy, *, source: str) -> Fetcher: ...


def build_source(config: AnySourceConfig, base_dir: Path, fetchers: Fetchers | None = None) -> Source:
    """What reads this source; relative paths are below `base_dir`, the configuration file's folder.

    A source that `needs_http` needs `fetchers`: without them, a TypeError. Raises ConfigurationError for settings that
    do not go together.
    """
    if isinstance(config, CsvSourceConfig):
        return csv_source(config, base_dir)
    if fetchers is None:
        raise TypeError(f"source {config.name} is read over HTTP: build_source needs fetchers")
    fetcher = fetchers(http_policy(config), source=config.name)
    if isinstance(config, ApiSourceConfig):
        return api.ApiSource(api_options(config), fetcher, compile_mapping(config))
    from kasparro.ingestion.sources.rss.source import RssSource

    return RssSource(rss_options(config), fetcher, compile_mapping(config))


def build_transformer(config: AnySourceConfig) -> Transformer:
    """What turns this source's raw records into what the store writes."""
    keep = None if config.where is None else _predicate(config.where, "where")
    marker = None if config.deletes is None else config.deletes.tombstone
    is_tombstone = None if marker is None else _predicate(marker, "deletes.tombstone")
    columns = compile_columns(config) if isinstance(config, CsvSourceConfig) else None
    normalize, fields, version = compile_mapping(config), compile_fields(config), compile_version(config)
    return Transformer(normalize, compile_key(config), keep, config.ignore, columns, fields, is_tombstone, version)


def needs_http(config: AnySourceConfig) -> bool:
    """Whether the source is read over HTTP."""
    return not isinstance(config, CsvSourceConfig)


def csv_source(config: CsvSourceConfig, base_dir: Path) -> CsvSource:
    """What reads a CSV source; relative paths are below `base_dir`."""
    options = CsvOptions(
        name=config.name,
        pattern=config.path,
        base_dir=base_dir,
        key=config.key or (),
        header=config.header,
        columns=config.columns,
        delimiter=config.delimiter,
        quotechar=config.quotechar,
        escapechar=config.escapechar,
        encoding=config.encoding,
        skip_rows=config.skip_rows,
        comment=config.comment,
    )
    return CsvSource(options, compile_mapping(config))


def http_policy(config: ApiSourceConfig | RssSourceConfig) -> HttpPolicy:
    """What the source allows and wants of the client."""
    return HttpPolicy(
        requests=config.rate_limit.requests,
        per_seconds=config.rate_limit.per.total_seconds(),
        attempts=config.retry.attempts,
        total_seconds=config.retry.within.total_seconds(),
        connect_seconds=config.connect_timeout.total_seconds(),
        read_seconds=config.timeout.total_seconds(),
        attempt_seconds=config.total_timeout.total_seconds(),
        max_body_bytes=config.max_body,
        allow_private=config.allow_private,
        headers={} if isinstance(config, ApiSourceConfig) else config.headers,
        secrets=secret_values(config),
    )


def api_options(config: ApiSourceConfig) -> api.ApiOptions:
    """What an API source is told. Raises ConfigurationError. It sends its headers itself: to its own host alone."""
    incremental, statuses = config.incremental, config.end_statuses
    return api.ApiOptions(
        name=config.name,
        url=config.url,
        params=config.params,
        headers=config.headers,
        auth=_auth(config.auth),
        records=config.records,
        pagination=_pagination(config.pagination),
        incremental=None if incremental is None else api.Incremental(**_settings(incremental)),
        end_statuses=None if statuses is None else frozenset(statuses),
        max_pages=config.max_pages,
        allow_other_hosts=config.allow_other_hosts,
        secrets=secret_values(config),
    )


def rss_options(config: RssSourceConfig) -> RssOptions:
    """What a feed source is told. Raises ConfigurationError."""
    return RssOptions(
        name=config.name,
        urls=config.feeds,
        identity=config.identity,
        secrets=secret_values(config),
        max_document_bytes=config.max_body,
    )


def check_settings(config: AnySourceConfig, base_dir: Path) -> None:
    """Raises ConfigurationError for settings that do not go together; asks nobody."""
    if isinstance(config, ApiSourceConfig):
        api_options(config)
    elif isinstance(config, RssSourceConfig):
        rss_options(config)
    else:
        csv_source(config, base_dir)


def _auth(auth: written.Auth | None) -> api.Auth | None:
    if isinstance(auth, written.ApiKeyAuth):
        return api.ApiKeyAuth(auth.value.get_secret_value(), auth.header, auth.query)
    if isinstance(auth, written.BearerAuth):
        return api.BearerAuth(auth.token.get_secret_value())
    if isinstance(auth, written.BasicAuth):
        return api.BasicAuth(auth.user, auth.password.get_secret_value())
    return None


_PAGINATION: dict[type[Any], type[api.Pagination]] = {
    written.PagePagination: api.PagePagination,
    written.OffsetPagination: api.OffsetPagination,
    written.CursorPagination: api.CursorPagination,
    written.NextUrlPagination: api.NextUrlPagination,
    written.LinkHeaderPagination: api.LinkHeaderPagination,
}


def _pagination(pagination: written.Pagination | None) -> api.Pagination | None:
    return None if pagination is None else _PAGINATION[type(pagination)](**_settings(pagination))


def _settings(model: Any) -> dict[str, Any]:
    """A model's fields by name; the options have the same, except for `type`."""
    return {name: value for name, value in model if name != "type"}


def _predicate(expression: str, setting: str) -> Callable[[Payload], bool]:
    """True where the expression's result is true in JMESPath's sense: not null, false, empty text, list or object."""
    search = compile_search(expression)

    def holds(payload: Payload) -> bool:
        try:
            result = search(payload)
        except Defective as defective:
            raise RecordRejected(Defect(defective.code, defective.message, setting)) from None
        return result is not None and result is not False and result not in ("", [], {})

    return holds
