"""Levels of single modules: `KASPARRO_LOG_LEVELS=kasparro.ingestion.http=DEBUG,granian=INFO`."""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LIBRARIES: Final = ("alembic", "asyncio", "asyncpg", "granian", "httpcore", "httpx", "opentelemetry", "sqlalchemy")
"""What else says something, by the names of their loggers."""
_set: set[str] = set()
"""Loggers that were given a level of their own."""


def checked_levels(text: str | None) -> str | None:
    """The text as it is. Raises ValueError naming the module or level that is none, and the nearest that is one."""
    if text is not None:
        levels_of(text)
    return text


def levels_of(text: str | None) -> dict[str, str]:
    """Module to level, in the order given. Raises ValueError."""
    levels: dict[str, str] = {}
    for item in (text or "").split(","):
        if item.strip():
            name, equals, level = (part.strip() for part in item.partition("="))
            if not equals:
                raise ValueError(f"{name!r}: write MODULE=LEVEL, such as kasparro.ingestion.http=DEBUG")
            levels[_known(name)] = _level(name, level)
    return levels


def set_levels(levels: Mapping[str, str]) -> None:
    """Give these loggers, and those below them, their levels; what had one by an earlier call has none any more."""
    while _set:
        logging.getLogger(_set.pop()).setLevel(logging.NOTSET)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
        _set.add(name)


def _level(name: str, level: str) -> str:
    if level.upper() not in LEVELS:
        near = get_close_matches(level.upper(), LEVELS, 1, 0.4)
        raise ValueError(f"{name}={level}: no level of this name; {_hint(near, 'give one of ' + ', '.join(LEVELS))}")
    return level.upper()


def _known(name: str) -> str:
    if name in LIBRARIES or name.partition(".")[0] in LIBRARIES:
        return name
    modules = _modules()
    if name not in modules:
        near = get_close_matches(name, [*modules, *LIBRARIES], 1, 0.5)
        raise ValueError(f"no module {name!r}; {_hint(near, 'name one such as kasparro.ingestion.http')}")
    return name


def _hint(near: list[str], otherwise: str) -> str:
    return f"did you mean {near[0]}?" if near else otherwise


def _modules() -> list[str]:
    """Every module and package of ours, without importing any."""
    spec = find_spec("kasparro")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    paths = [path.relative_to(root.parent).with_suffix("") for path in sorted(root.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]
