"""What a source's configuration is remembered by in the database: hashes, identity and the mapping's text.

All are over the parsed configuration, so that comments, order of fields and spelled-out defaults change nothing. What
came from a variable is in none of the texts, and where a source is found is hashed as it is written.
"""

from collections.abc import Mapping
from typing import Any, Final

from kasparro.core.canonical import canonical_json, hash_text
from kasparro.schemas.configuration.alerts import Alerts
from kasparro.schemas.configuration.document import replace_scalars
from kasparro.schemas.configuration.models import AnySourceConfig
from kasparro.schemas.configuration.rss import RssSourceConfig
from kasparro.schemas.configuration.variables import variables_in

NORMALIZATION_VERSION = 1
"""Raised when the same mapping over the same payload gives another record than before."""
_MAPPED: Final = ("map", "null_values", "timezone", "version")
"""Settings that decide what a payload becomes."""
_PLACES: Final = ("path", "url", "urls", "params", "headers")
"""Settings that say where a source is found, mostly with variables that differ from machine to machine."""
_MANNERS: Final[dict[str, Any]] = {
    **dict.fromkeys(
        ("schedule", "deadline", "auth", "rate_limit", "retry", "timeout", "connect_timeout", "total_timeout"), True
    ),
    **dict.fromkeys(("retention", "drift", "max_body", "max_pages", "allow_private", "allow_other_hosts"), True),
    "incremental": {"lookback": True},
    "deletes": {"max_share": True},
    "checks": True,
}
"""Settings that say when and how a source is asked, and change nothing about what it answers."""


def config_hash(source: AnySourceConfig) -> str:
    """Hex of 128 bits: equal as long as an open pass may be resumed under this configuration."""
    settings = source.model_dump(exclude_defaults=True, exclude=_MANNERS)
    written = {name: _texts(source.written.get(name, settings[name])) for name in _PLACES if name in settings}
    return hash_text(canonical_json(settings | written)).hex()


def identity(source: AnySourceConfig) -> dict[str, Any]:
    """What must not change once the source has data."""
    policy = source.identity if isinstance(source, RssSourceConfig) else "auto"
    return {"type": source.type, "key": list(source.key or ())} | ({} if policy == "auto" else {"identity": policy})


def mapping_text(source: AnySourceConfig) -> str:
    """Canonical JSON of everything that decides what a payload becomes, as it is written."""
    return canonical_json(_mapping(source) | _as_written(source))


def written_text(part: AnySourceConfig | Alerts) -> str:
    """Canonical JSON of a source, or of `alerts`, as written: all but comments, the order of fields, and variables."""
    return canonical_json(_texts(part.written))


def variables_of(part: AnySourceConfig | Alerts, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand in a source, or in `alerts`, each with its value; empty for one that has none."""
    return variables_in(part.written, environ)


def mapping_hash(source: AnySourceConfig) -> str:
    """Hex of 128 bits over what decides what a payload becomes, variables filled in."""
    return hash_text(canonical_json(_mapping(source))).hex()


def _mapping(source: AnySourceConfig) -> dict[str, Any]:
    return {
        "normalization": NORMALIZATION_VERSION,
        "key": list(source.key or ()),
        "map": None if source.map is None else source.map.model_dump(exclude_defaults=True),
        "null_values": list(source.null_values),
        "timezone": source.timezone,
    } | _version(source)


def _version(source: AnySourceConfig) -> dict[str, Any]:
    """Nothing where none is declared, so that such a mapping is what it was before there were versions."""
    version = None if isinstance(source, RssSourceConfig) else source.version
    return {} if version is None else {"version": version.model_dump()}


def _as_written(source: AnySourceConfig) -> dict[str, Any]:
    """The written form of those parts of the mapping in which a variable stands."""
    parts = {name: source.written[name] for name in _MAPPED if name in source.written}
    return {name: _plain(part) for name, part in parts.items() if "${" in str(part)}


def _texts(value: Any) -> Any:
    return replace_scalars(value, lambda _, scalar: str(scalar))


def _plain(value: Any) -> Any:
    return replace_scalars(value, lambda _, scalar: scalar.resolved)
