"""Whose pages and which proxies are trusted."""

import pytest

from kasparro.core.errors import ConfigurationError
from kasparro.core.settings import load_settings
from kasparro.core.trust import hosts, origins, proxies


def test_origins_are_written_as_browsers_send_them() -> None:
    text = "https://App.Example.org, http://localhost:3000,https://a.example:443,http://b.example:80, http://[::1]:5173"
    assert origins(text) == (
        "https://app.example.org", "http://localhost:3000", "https://a.example", "http://b.example", "http://[::1]:5173",
    )  # fmt: skip
    assert origins(None) == origins(" , ") == ()


@pytest.mark.parametrize(
    "text", ["*", "null", "app.example.org", "https://a.example/", "https://a.example/x", "https://*.a.example",
             "https://a.example, *", "file://a", "https://user@a.example"],
)  # fmt: skip
def test_what_is_no_exact_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KASPARRO_CORS_ORIGINS"):
        load_settings({"KASPARRO_CORS_ORIGINS": f"https://fine.example,{text},https://fine.example"})


def test_proxies_are_addresses_and_networks() -> None:
    assert [str(item) for item in proxies("10.0.0.0/8, 192.0.2.1 ,fd00::/8")] == [
        "10.0.0.0/8", "192.0.2.1/32", "fd00::/8",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "*", "10.0.0.1:80"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KASPARRO_TRUSTED_PROXIES"):
        load_settings({"KASPARRO_TRUSTED_PROXIES": text})


def test_hosts_are_names_and_addresses_in_any_case() -> None:
    assert hosts("LocalHost, 127.0.0.1,[::1],app.example.org") == ("localhost", "127.0.0.1", "[::1]", "app.example.org")
    assert hosts(" * ") == ("*",)
    assert hosts(None) == ()


@pytest.mark.parametrize("text", ["localhost:8000", "https://a.example", "*.a.example", "a,*", "::1", "a b", ","])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="KASPARRO_ALLOWED_HOSTS"):
        load_settings({"KASPARRO_ALLOWED_HOSTS": text})
