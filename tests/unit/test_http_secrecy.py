"""Secrets show nowhere, in whatever form they come back."""

import httpx
import pytest

from kasparro.core.masking import mask_text
from kasparro.ingestion.http.secrecy import Secrecy

KEY = 'a/b+c d="é"'


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        "a/b%2Bc%20d%3D%22%C3%A9%22",
        "a%2Fb%2Bc+d%3D%22%C3%A9%22",
        'a/b+c d=\\"\\u00e9\\"',
        'a\\/b+c d=\\"\\u00e9\\"',
        "a/b+c d=&quot;é&quot;",
    ],
)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    assert Secrecy([KEY], {}).text(f"before {form} after") == "before *** after"


def test_a_short_secret_is_masked_too() -> None:
    assert Secrecy(["xq"], {}).text("key xq refused") == "key *** refused"


def test_the_whole_process_masks_it_from_then_on() -> None:
    Secrecy(["only-here-4711"], {"X-Api-Key": "only-there-4711"})
    assert mask_text("only-here-4711 only-there-4711") == "*** ***"


def test_values_of_credential_headers_are_secrets() -> None:
    secrecy = Secrecy((), {"X-Api-Key": "abc-123", "Authorization": "Token t0k3n", "Accept": "text/csv"})
    assert secrecy.text("abc-123 t0k3n text/csv") == "*** *** text/csv"


def test_a_url_shows_neither_user_and_password_nor_secrets() -> None:
    secrecy = Secrecy([KEY], {})
    assert secrecy.url(httpx.URL("https://ada:pw@example.org/a?b=1")) == "https://example.org/a?b=1"
    url = httpx.URL("https://example.org/a").copy_merge_params({"q": KEY, "b": "1"})
    assert secrecy.url(url) == "https://example.org/a?q=***&b=1"
    assert KEY not in secrecy.url("https://example.org/%61/b%2bc%20d=%22%C3%A9%22")


def test_a_url_loses_the_parameters_with_secrets_and_nothing_else() -> None:
    secrecy = Secrecy(["s3cret"], {})
    assert str(secrecy.without_secrets(httpx.URL("https://e.org/?a=%2F&&k=s3cret&b"))) == "https://e.org/?a=%2F&&b"
    assert str(secrecy.without_secrets(httpx.URL("https://e.org/?k=s3cret"))) == "https://e.org/"
    assert str(secrecy.without_secrets(httpx.URL("https://e.org/?k=s%33cret"))) == "https://e.org/"
    assert str(secrecy.without_secrets(httpx.URL("https://e.org/?"))) == "https://e.org/?"


def test_a_header_is_a_credential_by_its_name_or_its_value() -> None:
    secrecy = Secrecy(["s3cret"], {})
    named = ("authorization", "Proxy-Authorization", "cookie", "x-api-key", "x-auth-token")
    assert all(secrecy.is_credential(name, "anything") for name in named)
    assert secrecy.is_credential("x-custom", "id=s3cret")
    assert not any(secrecy.is_credential(name, "anything") for name in ("accept", "user-agent", "if-none-match"))
