"""From a source's configuration to the objects that read and transform it: the one place that knows all types."""

from collections.abc import Callable
from pathlib import Path

from kasparro.core.errors import ConfigurationError
from kasparro.ingestion.http.contract import Fetcher, HttpPolicy
from kasparro.ingestion.mapping import compile_key, compile_mapping
from kasparro.ingestion.paths import compile_search
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import AnySourceConfig, CsvSourceConfig
from kasparro.schemas.readings import Defective

Fetchers = Callable[[HttpPolicy, str], Fetcher]
"""Gives the client of a source, by its policy and name."""


def build_source(config: AnySourceConfig, base_dir: Path, fetchers: Fetchers | None = None) -> CsvSource:
    """What reads this source; relative paths are below `base_dir`, the configuration file's folder.

    Sources that are read over HTTP need `fetchers`.
    """
    if not isinstance(config, CsvSourceConfig):
        what = "type cannot be read by this version" if fetchers else "needs an HTTP client"
        raise ConfigurationError(f"source {config.name}: {what}")
    return csv_source(config, base_dir)


def build_transformer(config: AnySourceConfig) -> Transformer:
    """What turns this source's raw records into what the store writes."""
    keep = None if config.where is None else _predicate(config.where)
    return Transformer(compile_mapping(config), compile_key(config), keep, config.ignore)


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


def _predicate(expression: str) -> Callable[[Payload], bool]:
    """True where the expression's result is true in JMESPath's sense: not null, false, empty text, list or object."""
    search = compile_search(expression)

    def keep(payload: Payload) -> bool:
        try:
            result = search(payload)
        except Defective as defective:
            raise RecordRejected(Defect(defective.code, defective.message, "where")) from None
        return result is not None and result is not False and result not in ("", [], {})

    return keep
