"""Takes secrets out of whatever is about to be shown: registered values, secret-named fields, credentials in URLs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

MASK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token$|^authorization$|^(set-)?cookie$|api[-_]?key$|credential|private[-_]?key|^dsn$",
    re.IGNORECASE,
)
_URL_CREDENTIALS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/?#\"']*@", re.IGNORECASE)
_QUERY_SECRET: Final = re.compile(
    r"(?P<name>[?&;\s](?:api[-_]?key|access[-_]?token|auth[-_]?token|token|key|password|passwd|secret|sig|signature)=)"
    r"[^&#\s\"']+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"(?P<kind>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_MINIMUM_SECRET_LENGTH: Final = 4
_known_secrets: Final[set[str]] = set()


def register_secrets(values: Iterable[str]) -> None:
    """Mask these values wherever they appear from now on; too short ones would mask innocent text."""
    _known_secrets.update(value for value in values if len(value) >= _MINIMUM_SECRET_LENGTH)


def is_secret_name(name: str) -> bool:
    """Whether a field or variable of this name holds a secret, such as `API_KEY` or `db_password`."""
    return _SECRET_NAME.search(name) is not None


def mask_known(text: str) -> str:
    """The text without registered secrets, and else as it is: for results, which programs read."""
    for secret in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def mask_text(text: str) -> str:
    """The text without registered secrets, URL credentials, secret query parameters and bearer tokens."""
    text = mask_known(text)
    text = _URL_CREDENTIALS.sub(rf"\g<scheme>{MASK}@", text)
    text = _QUERY_SECRET.sub(rf"\g<name>{MASK}", text)
    return _BEARER.sub(rf"\g<kind>{MASK}", text)


def masked(name: str, value: object) -> Any:
    """A field's value with everything secret in it masked, at any depth; a secret-named field is masked whole."""
    if value is not None and is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {str(key): masked(str(key), item) for key, item in members.items()}
    if isinstance(value, list | tuple):
        return [masked(name, item) for item in cast("list[object]", value)]
    if value is None or isinstance(value, bool | int | float) or name.startswith("_"):
        return value
    return mask_text(str(value))
