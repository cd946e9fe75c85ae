"""Where the API may listen."""

import pytest

from kasparro.core.address import require_loopback
from kasparro.core.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is_fine(host: str) -> None:
    assert require_loopback(host) == ("127.0.0.1" if host == "localhost" else host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "192.0.2.7", "fe80::1", "example.org", "", "127.0.0.1:8000"]
)
def test_what_others_reach_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="KASPARRO_HOST"):
        require_loopback(host)
