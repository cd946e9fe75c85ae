"""What a source's configuration is remembered by in the database: hashes, identity and the mapping's text.

All are over the parsed configuration, so that comments, order of fields and spelled-out defaults change nothing. What
came from a variable is in none of the texts, and `path` is hashed as it is written.
"""

from typing import Any

from kasparro.core.canonical import canonical_json, hash_text
from kasparro.schemas.configuration.document import replace_scalars
from kasparro.schemas.configuration.models import CsvSourceConfig

NORMALIZATION_VERSION = 1
"""Raised when the same mapping over the same payload gives another record than before."""


def config_hash(source: CsvSourceConfig) -> str:
    """Hex of 128 bits: equal as long as an open pass may be resumed under this configuration."""
    settings = source.model_dump(exclude_defaults=True) | {"path": str(source.written.get("path", source.path))}
    return hash_text(canonical_json(settings)).hex()


def identity(source: CsvSourceConfig) -> dict[str, Any]:
    """What must not change once the source has data."""
    return {"type": source.type, "key": list(source.key or ())}


def mapping_text(source: CsvSourceConfig) -> str:
    """Canonical JSON of everything that decides what a payload becomes, as it is written."""
    return canonical_json(_mapping(source) | _as_written(source))


def mapping_hash(source: CsvSourceConfig) -> str:
    """Hex of 128 bits over what decides what a payload becomes, variables filled in."""
    return hash_text(canonical_json(_mapping(source))).hex()


def _mapping(source: CsvSourceConfig) -> dict[str, Any]:
    return {
        "normalization": NORMALIZATION_VERSION,
        "key": list(source.key or ()),
        "map": source.map.model_dump(exclude_defaults=True),
        "null_values": list(source.null_values),
        "timezone": source.timezone,
    }


def _as_written(source: CsvSourceConfig) -> dict[str, Any]:
    """The written form of those parts of the mapping in which a variable stands."""
    parts = {name: source.written[name] for name in ("map", "null_values", "timezone") if name in source.written}
    return {name: _plain(part) for name, part in parts.items() if "${" in str(part)}


def _plain(value: Any) -> Any:
    return replace_scalars(value, lambda _, scalar: scalar.resolved)
