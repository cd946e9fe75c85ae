"""What messages show of a variable's value: hosts and ports, so that an address can be used, and nothing else."""

import pytest

from kasparro.core.masking import mask_text
from kasparro.schemas.configuration import parse_configuration


def configured(*urls: str, **environ: str) -> None:
    """Read a configuration with these URLs, so that what its variables hold is known."""
    feeds = ", ".join(f'"{url}"' for url in urls)
    parse_configuration(f"sources: [{{name: n, type: rss, urls: [{feeds}]}}]", environ)


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        ("http://127.0.0.1:${PORT_A:-8010}/a", {"PORT_A": "8123"}, "http://127.0.0.1:8123/a"),
        ("https://${TENANT_B}.example.org/b", {"TENANT_B": "shop-b"}, "https://shop-b.example.org/b"),
        ("https://${HOST_C}:${PORT_C:-8443}/c", {"HOST_C": "host-c.org"}, "https://host-c.org:8443/c"),
        ("${BASE_D}/d", {"BASE_D": "https://host-d.org"}, "https://host-d.org/d"),
        ("${BASE_D6}/d", {"BASE_D6": "http://[::1]:8012"}, "http://[::1]:8012/d"),
    ],
)
def test_host_and_port_are_shown(url: str, environ: dict[str, str], shown: str) -> None:
    configured(url, **environ)
    assert mask_text(f"{shown}: refused") == f"{shown}: refused"


@pytest.mark.parametrize(
    ("url", "environ", "filled", "shown"),
    [
        ("https://h-e.org/${PATH_E}", {"PATH_E": "folder-e"}, "https://h-e.org/folder-e", "https://h-e.org/${PATH_E}"),
        ("https://h-f.org/?q=${Q_F}", {"Q_F": "query-f"}, "https://h-f.org/?q=query-f", "https://h-f.org/?q=${Q_F}"),
        ("${FEED_G}", {"FEED_G": "https://h-g.org/path-g"}, "https://h-g.org/path-g", "${FEED_G}"),
        ("${BASE_H}/x", {"BASE_H": "https://h-h.org?k=v"}, "https://h-h.org?k=v/x", "${BASE_H}/x"),
        ("https://${HOST_I}/x", {"HOST_I": "h-i.org/hidden"}, "https://h-i.org/hidden/x", "https://${HOST_I}/x"),
        ("https://${ACCESS_TOKEN}.org/x", {"ACCESS_TOKEN": "host-t"}, "https://host-t.org/x", "https://***.org/x"),
    ],
)
def test_what_reaches_beyond_them_or_is_called_a_secret_is_hidden(
    url: str, environ: dict[str, str], filled: str, shown: str
) -> None:
    configured(url, **environ)
    assert mask_text(f"{filled}: refused") == f"{shown}: refused"


def test_a_url_shows_its_port_and_hides_its_path() -> None:
    configured("http://h-j.org:${PORT_J}/${PATH_J}/", PORT_J="8099", PATH_J="folder-j")
    assert mask_text("http://h-j.org:8099/folder-j/") == "http://h-j.org:8099/${PATH_J}/"


def test_a_host_is_shown_wherever_else_it_stands() -> None:
    configured("https://x.org/${HOST_K}/", "https://${HOST_K}/", HOST_K="host-k.org")
    assert mask_text("https://x.org/host-k.org/, host-k.org") == "https://x.org/host-k.org/, host-k.org"


def test_user_and_password_are_no_place_to_show() -> None:
    text = "sources: [{name: n, type: rss, url: 'https://x.org', map: {url: {value: 'https://${WHO_L}@${HOST_L}/'}}}]"
    parse_configuration(text, {"WHO_L": "user-l", "HOST_L": "host-l.org"})
    assert mask_text("user-l at host-l.org") == "${WHO_L} at host-l.org"
