"""From a source's configuration to the objects that read and transform it: the one place that knows all types."""

from collections.abc import Callable
from pathlib import Path

from kasparro.ingestion.mapping import compile_key, compile_mapping, compile_search
from kasparro.ingestion.source import Defect, Payload, RecordRejected
from kasparro.ingestion.sources.csv import CsvOptions, CsvSource
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import CsvSourceConfig
from kasparro.schemas.readings import Defective


def build_source(config: CsvSourceConfig, base_dir: Path) -> CsvSource:
    """What reads this source; relative paths are below `base_dir`, the configuration file's folder."""
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


def build_transformer(config: CsvSourceConfig) -> Transformer:
    """What turns this source's raw records into what the store writes."""
    keep = None if config.where is None else _predicate(config.where)
    return Transformer(compile_mapping(config), compile_key(config), keep, config.ignore)


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
