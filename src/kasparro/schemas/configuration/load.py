"""From a file to a Configuration, or to all that is wrong with it at once."""

import codecs
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, cast

from pydantic import ValidationError

from kasparro.core.errors import ConfigurationError, ConfigurationProblem, InvalidConfigurationError
from kasparro.schemas.configuration.checks import unmapped
from kasparro.schemas.configuration.document import Document, Path, parse_document, shown_path
from kasparro.schemas.configuration.models import Configuration
from kasparro.schemas.configuration.nearest import nearest
from kasparro.schemas.configuration.problems import describe
from kasparro.schemas.configuration.variables import fill_in

_MAX_BYTES = 4 * 1024 * 1024
_FIXED_FIELDS = ("name", "type", "key")
"""Fields of a source that are its identity: shown everywhere, so that no variable may stand in them."""


def load_configuration(path: FilePath, environ: Mapping[str, str]) -> Configuration:
    """Read and check the configuration file; `environ` fills in its `${NAME}` variables.

    Raises InvalidConfigurationError with every problem, each with line, column and field, and ConfigurationError when
    the file cannot be read. A value that came from `environ` is in no message.
    """
    return parse_configuration(_read(path), environ, file=_shown(path))


def parse_configuration(text: str, environ: Mapping[str, str], *, file: str = "kasparro.yaml") -> Configuration:
    """Like `load_configuration`, for text; `file` is what messages call it."""
    parsed = parse_document(text)
    configuration = _validate(parsed, environ)
    if configuration is None or parsed.findings:
        raise InvalidConfigurationError(_problems(parsed, file))
    return configuration


def _validate(parsed: Document, environ: Mapping[str, str]) -> Configuration | None:
    if not isinstance(parsed.value, dict):
        if not parsed.findings:
            parsed.find((), 'must be a mapping with the field "sources"')
        return None
    filled, used = fill_in(parsed, environ)
    for path, names in used.items():
        if path[0] == "sources" and len(path) > 2 and path[2] in _FIXED_FIELDS:
            parsed.find(path, f"must be written out: it is the source's identity (found variable {', '.join(names)})")
    _find_repeated_names(parsed, ("sources",), "source")
    _find_repeated_names(parsed, ("alerts", "hooks"), "hook")
    _find_unknown_sources(parsed)
    try:
        configuration = Configuration.model_validate(filled)
    except ValidationError as error:
        describe(error.errors(include_url=False), parsed, used, Configuration)
        return None
    written = cast("list[dict[str, Any]]", parsed.value["sources"])
    for source, as_written in zip(configuration.sources, written, strict=True):
        source.written.update(as_written)
    _find_unmapped_checks(parsed, configuration)
    whole = cast("dict[str, dict[str, Any] | None]", parsed.value)
    configuration.alerts.written.update(whole.get("alerts") or {})
    return configuration


def _find_repeated_names(parsed: Document, where: Path, what: str) -> None:
    seen: dict[str, int] = {}
    for index, each in enumerate(_list_at(parsed, where)):
        name = each.get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            first = parsed.mark((*where, seen[name], "name")).line
            parsed.find((*where, index, "name"), f'another {what} is called "{name}" (line {first})')
        seen.setdefault(name, index)


def _find_unknown_sources(parsed: Document) -> None:
    """Hooks that are to be told of sources that there are not."""
    known = [str(source.get("name")) for source in _list_at(parsed, ("sources",))]
    for index, hook in enumerate(_list_at(parsed, ("alerts", "hooks"))):
        given = cast("object", hook.get("sources"))
        names = [(given, ())] if isinstance(given, str) else _numbered(given)
        for name, place in names:
            if isinstance(name, str) and name not in known:
                path = ("alerts", "hooks", index, "sources", *place)
                parsed.find(path, f'there is no source "{name}"{nearest(name, known)}')


def _numbered(value: object) -> list[tuple[object, tuple[int, ...]]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [(item, (index,)) for index, item in enumerate(items)]


def _list_at(parsed: Document, where: Path) -> list[dict[str, object]]:
    """The mappings of a list of the document; anything else counts as empty."""
    value = cast("object", parsed.value)
    for name in where:
        value = cast("dict[str | int, object]", value).get(name) if isinstance(value, dict) else None
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, object]", item) if isinstance(item, dict) else {} for item in items]


def _find_unmapped_checks(parsed: Document, configuration: Configuration) -> None:
    """Checks of fields that no record of their source can have."""
    for index, source in enumerate(configuration.sources):
        for position, message in unmapped(source.checks, source.map, is_feed=source.type == "rss"):
            parsed.find(("sources", index, "checks", position, "field"), message)


def _problems(parsed: Document, file: str) -> list[ConfigurationProblem]:
    problems = [
        ConfigurationProblem(file, finding.mark.line, finding.mark.column, shown_path(finding.path), finding.message)
        for finding in parsed.findings
    ]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _read(path: FilePath) -> str:
    file = _shown(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "Name another with --config FILE or KASPARRO_CONFIG."
        raise ConfigurationError(f"{file}: there is no such configuration file", hint=hint) from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{file}: larger than {_MAX_BYTES} bytes; is it the configuration file?")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise InvalidConfigurationError([ConfigurationProblem(file, line, column, "", "not UTF-8 text")]) from None


def _shown(path: FilePath) -> str:
    """The path as people would type it: relative where it is below the working directory."""
    working_directory = FilePath.cwd()
    return str(path.relative_to(working_directory)) if path.is_relative_to(working_directory) else str(path)
