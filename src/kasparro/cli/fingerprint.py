"""What a process of a home was started with, so that others can tell whether that is still what holds.

A process reads settings, configuration and code once, at its start. Of each it leaves a keyed hash beside its number:
enough to see that something changed, and what; too little to read a secret. The key is random and stands beside it.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kasparro.cli.background import DEMO, SCHEDULER, SERVER

if TYPE_CHECKING:
    from kasparro.core.settings import Settings

CODE: Final = "version of kasparro"
CONFIGURATION: Final = "configuration"
_SALT: Final = ""
_NOBODY: Final = frozenset[str]()
_READ_BY: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("API_KEY", "KASPARRO_DEMO_PORT"), frozenset({DEMO})),
    **dict.fromkeys(("ETL_INTERVAL_MINUTES", "KASPARRO_CONTACT", "KASPARRO_CONFIG"), frozenset({SCHEDULER})),
    **dict.fromkeys(("DATABASE_URL", "KASPARRO_BATCH_RECORDS", "KASPARRO_ENVIRONMENT"), frozenset({SCHEDULER, SERVER})),
    **dict.fromkeys(("KASPARRO_HOST", "KASPARRO_PORT", "KASPARRO_READ_KEY_REQUIRED"), frozenset({SERVER})),
    **dict.fromkeys(("KASPARRO_REQUESTS_PER_MINUTE", "KASPARRO_API_CONNECTIONS"), frozenset({SERVER})),
    **dict.fromkeys(
        ("KASPARRO_CORS_ORIGINS", "KASPARRO_TRUSTED_PROXIES", "KASPARRO_ALLOWED_HOSTS"), frozenset({SERVER})
    ),
    **dict.fromkeys(("KASPARRO_HOME", "KASPARRO_ENV_FILE", "KASPARRO_INJECT", "KASPARRO_DEMO_HOST"), _NOBODY),
}
"""Which processes a setting matters to; one that is not listed matters to all of them."""


def take(settings: "Settings", name: str, host: str = "", port: int = 0) -> dict[str, str]:
    """The fingerprint of a process of this name that starts now, and serves at this address if it serves.

    Raises ConfigurationError when the process is to read a configuration that cannot be read.
    """
    salt = secrets.token_hex(8)
    return {_SALT: salt, **_hashed(_values(settings, name, host, port), salt)}


def changes(taken: Mapping[str, str], settings: "Settings", name: str, host: str = "", port: int = 0) -> list[str]:
    """What is different now, by name: variables, configuration, version of kasparro. Raises ConfigurationError.

    Of a process that left no fingerprint, all that is known is that another kasparro started it.
    """
    if not taken:
        return [CODE]
    now = _hashed(_values(settings, name, host, port), taken.get(_SALT, ""))
    labels = dict.fromkeys((*now, *taken))
    return [label for label in labels if label != _SALT and now.get(label) != taken.get(label)]


def _hashed(values: Mapping[str, str], salt: str) -> dict[str, str]:
    key = bytes.fromhex(salt)
    return {label: blake2b(value.encode(), key=key, digest_size=8).hexdigest() for label, value in values.items()}


def _values(settings: "Settings", name: str, host: str, port: int) -> dict[str, str]:
    values = {CODE: code_version(), **dict(_settings(settings, name))}
    if name == SERVER:
        values |= {"KASPARRO_HOST": host, "KASPARRO_PORT": str(port)}
    if name == DEMO:
        values |= {"KASPARRO_DEMO_PORT": str(port)}
    return values | (_configuration(settings.config_path) if name == SCHEDULER else {})


def _settings(settings: "Settings", name: str) -> Iterator[tuple[str, str]]:
    """Each setting that matters to the process, with its value."""
    from pydantic import SecretStr

    for field, info in type(settings).model_fields.items():
        variable = str(info.alias)
        if name in _READ_BY.get(variable, {name}):
            value: object = getattr(settings, field)
            yield variable, value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _configuration(path: Path) -> dict[str, str]:
    """All that is written, so that a comment changes nothing, and the variables that stand in it."""
    from kasparro.schemas.configuration import load_configuration, variables_of, written_text

    configuration = load_configuration(path, os.environ)
    parts = [*configuration.sources, *([configuration.alerts] if configuration.alerts.written else [])]
    variables: dict[str, str] = {}
    for part in parts:
        variables |= variables_of(part, os.environ)
    return {CONFIGURATION: "\n".join(written_text(part) for part in parts), **variables}


def code_version() -> str:
    """The version, and in a checkout of the repository the commit that it stands at."""
    from kasparro import __file__ as package
    from kasparro import __version__

    try:
        moves = (Path(package).parents[2] / ".git" / "logs" / "HEAD").read_text(encoding="utf-8", errors="replace")
    except OSError:  # installed without its repository
        return __version__
    commits = [line.split()[1] for line in moves.splitlines()[-1:]]
    return " ".join([__version__, *commits])
