"""`kasparro check`: everything that is wrong with the configuration, at once, and what looks wrong with its files."""

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import InvalidConfigurationError, SourceError
from kasparro.core.masking import mask_secrets, mask_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kasparro.schemas.configuration import AnySourceConfig, CsvSourceConfig

_WHERE_WARNING = "records that `where` leaves out are not kept: they cannot be replayed when it changes"


@command(example="kasparro check")
async def check(context: Context) -> Result:
    """Check the configuration: list every problem (exit code 3), or sum up each source and warn of what looks wrong."""
    from kasparro.schemas.configuration import load_configuration

    try:
        configuration = load_configuration(context.config_path, os.environ)
    except InvalidConfigurationError as error:
        problems = [asdict(problem) for problem in error.problems]
        return Result({"valid": False, "problems": problems}, [error.message], exit_code=error.exit_code)
    sources = [_masked(await _summary(source, context.config_path.parent)) for source in configuration.sources]
    hooks = [
        f"alerts: hook {hook.name}: {warning}"
        for hook in configuration.alerts.hooks
        for warning in _unreachable([hook.url.get_secret_value()], allowed=hook.allow_private)
    ]
    warnings = [f"warning: {source.name}: {warning}" for source in sources for warning in source.warnings]
    warnings += [f"warning: {hook}" for hook in hooks]
    rows = [(source.name, source.type, source.path, source.key, source.files) for source in sources]
    table = Table(("source", "type", "path or URL", "key", "files"), rows, right=("files",))
    human = [table, *(["", *warnings] if warnings else []), "", f"{context.config_path}: no errors"]
    return Result({"valid": True, "sources": list(map(asdict, sources)), "warnings": hooks}, human)


@dataclass(frozen=True, slots=True)
class _Summary:
    """`path` is the path or URL (of several, the first) as it is written; `files` are those of a CSV source."""

    name: str
    type: str
    path: str
    key: list[str]
    files: int | None
    warnings: list[str]


def _masked(summary: _Summary) -> _Summary:
    """Its path or URL without secrets, and its warnings without variables' values as well."""
    warnings = [mask_text(warning) for warning in summary.warnings]
    return replace(summary, path=mask_secrets(summary.path), warnings=warnings)


async def _summary(source: "AnySourceConfig", base_dir: "Path") -> _Summary:
    """What is configured, and what looks wrong with it; nothing is asked over the network."""
    from kasparro.ingestion.registry import check_settings
    from kasparro.schemas.configuration import CsvSourceConfig, RssSourceConfig

    warnings = [_WHERE_WARNING] if source.where is not None else []
    check_settings(source, base_dir)
    if isinstance(source, CsvSourceConfig):
        return await _summary_of_files(source, base_dir, warnings)
    asked = source.feeds if isinstance(source, RssSourceConfig) else [source.url]
    warnings += _unreachable(asked, allowed=source.allow_private)
    urls = source.written.get("urls") or [source.written.get("url")]
    more = f" and {len(urls) - 1} more" if len(urls) > 1 else ""
    return _Summary(source.name, source.type, f"{urls[0]}{more}", list(source.key or ()), None, warnings)


def _unreachable(urls: "Iterable[str]", *, allowed: bool) -> list[str]:
    """What each run, or message, would fail for, as far as the URLs themselves say so; no URL is shown."""
    from kasparro.ingestion.http.addresses import written_refusal

    kinds = [] if allowed else [kind for url in urls if (kind := written_refusal(url)) is not None]
    return [
        f"its URL has {'an' if kind[0] in 'aeiou' else 'a'} {kind} address, which is refused; "
        "`allow_private: true` lets it be reached"
        for kind in dict.fromkeys(kinds)
    ]


async def _summary_of_files(source: "CsvSourceConfig", base_dir: "Path", warnings: list[str]) -> _Summary:
    """What is configured, and what looks wrong with the files that it names."""
    from kasparro.ingestion.registry import csv_source

    reader = csv_source(source, base_dir)
    path = str(source.written.get("path", source.path))
    try:
        files = await reader.partitions()
    except SourceError as error:
        files = []
        warnings.append(error.about(source.name))
    for file in files:
        try:
            detected = await reader.detected(file)
        except SourceError as error:
            warnings.append(error.message)
        else:
            warnings.extend(_missing_columns(source, file, detected.names) if detected else [])
    return _Summary(source.name, source.type, path, list(source.key or ()), len(files), warnings)


def _missing_columns(source: "CsvSourceConfig", file: str, names: tuple[str, ...]) -> list[str]:
    from kasparro.ingestion.mapping import named_columns
    from kasparro.schemas.configuration.nearest import nearest

    missing = [column for column in named_columns(source) if column not in names]
    return [f'{file} has no column "{column}"{nearest(column, names)}' for column in missing]
