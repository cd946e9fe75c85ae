"""Which values of a source's settings must show nowhere."""

from collections.abc import Iterator
from typing import Any, Final

from kasparro.schemas.configuration.api import ApiKeyAuth, ApiSourceConfig, BasicAuth, BearerAuth
from kasparro.schemas.configuration.document import scalars
from kasparro.schemas.configuration.rss import RssSourceConfig
from kasparro.schemas.configuration.variables import secret_parts

_MAY_HOLD: Final = ("url", "urls", "params", "headers")


def secret_values(source: ApiSourceConfig | RssSourceConfig) -> tuple[str, ...]:
    """Keys, tokens and passwords, and what variables with secret names put into URLs, parameters and headers."""
    found = [*_credentials(source)]
    for name in _MAY_HOLD:
        filled = getattr(source, name, None)
        for path, written in scalars(source.written.get(name)):
            found += secret_parts(written, str(_at(filled, path)))
    return tuple(dict.fromkeys(value for value in found if value))


def _credentials(source: ApiSourceConfig | RssSourceConfig) -> Iterator[str]:
    auth = source.auth if isinstance(source, ApiSourceConfig) else None
    if isinstance(auth, ApiKeyAuth):
        yield auth.value.get_secret_value()
    if isinstance(auth, BearerAuth):
        yield auth.token.get_secret_value()
    if isinstance(auth, BasicAuth):
        yield auth.password.get_secret_value()


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for element in path:
        value = value[element]
    return value
