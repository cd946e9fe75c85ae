"""Knows one source's secrets: takes them out of texts and URLs, and says which headers and parameters carry one."""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import httpx

from kasparro.core.masking import MASK, is_secret_name, mask_text, register_secrets

_CREDENTIAL_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})


class Secrecy:
    """The secrets of one source, in every form in which they may show."""

    def __init__(self, secrets: Collection[str], headers: Mapping[str, str]) -> None:
        self._secrets: set[str] = set()
        self.learn([*secrets, *_header_secrets(headers)])

    @property
    def has_secrets(self) -> bool:
        """Whether anything secret is sent."""
        return bool(self._secrets)

    def learn(self, secrets: Collection[str]) -> None:
        """Keep these values to ourselves from now on, in the process's logs too."""
        given = {secret for secret in secrets if secret}
        forms = {form for secret in given for form in _forms(secret)}
        register_secrets(forms)
        self._secrets |= forms

    def learn_from(self, headers: Mapping[str, str]) -> None:
        """The same, with the values of the headers that carry credentials."""
        self.learn(_header_secrets(headers))

    def holds(self, value: str) -> bool:
        """Whether a secret is in the text."""
        return any(secret in value for secret in self._secrets)

    def is_credential(self, name: str, value: str) -> bool:
        """Whether a header carries a secret: by its name, or by its value."""
        return name.lower() in _CREDENTIAL_HEADERS or is_secret_name(name) or self.holds(value)

    def text(self, text: str) -> str:
        """The text with each secret masked."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return mask_text(text)

    def url(self, url: httpx.URL | str) -> str:
        """A URL to show: no user and password, and each secret masked, however it is quoted."""
        shown = self.text(str(without_userinfo(url) if isinstance(url, httpx.URL) else url))
        for read in (unquote, unquote_plus):
            if self.holds(read(shown)):
                shown = self.text(read(shown))
        return shown

    def without_secrets(self, url: httpx.URL) -> httpx.URL:
        """The URL without user and password, and without parameters that carry a secret; the rest stays as it is."""
        url = without_userinfo(url)
        pairs = url.query.decode("ascii").split("&")
        kept = [pair for pair in pairs if not any(map(self.holds, (pair, unquote(pair), unquote_plus(pair))))]
        return url if kept == pairs else url.copy_with(query="&".join(kept).encode() or None)


def without_userinfo(url: httpx.URL) -> httpx.URL:
    """The URL without user and password."""
    return url.copy_with(userinfo=b"") if url.userinfo else url


def basic(url: httpx.URL) -> str:
    """The Authorization header that a URL with user and password stands for (RFC 7617)."""
    return "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()


def _forms(secret: str) -> set[str]:
    """The secret as it is, in URLs, in JSON, and in HTML."""
    in_json = json.dumps(secret)[1:-1]
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {secret, *quoted, in_json, in_json.replace("/", r"\/"), escape(secret)}


def _header_secrets(headers: Mapping[str, str]) -> list[str]:
    """The values of credential headers, and what follows the scheme in them (`Bearer ...`)."""
    values = [value for name, value in headers.items() if name.lower() in _CREDENTIAL_HEADERS or is_secret_name(name)]
    return values + [value.partition(" ")[2] for value in values]
