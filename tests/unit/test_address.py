"""Where the API may listen."""

import pytest

from kasparro.core.address import require_decided
from kasparro.core.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is_fine(host: str) -> None:
    assert require_decided(host, read_key_required=None) == ("127.0.0.1" if host == "localhost" else host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "192.0.2.7", "fe80::1"])
def test_what_others_reach_needs_a_decision(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"KASPARRO_HOST.*KASPARRO_READ_KEY_REQUIRED"):
        require_decided(host, read_key_required=None)
    assert require_decided(host, read_key_required=True) == host
    assert require_decided(host, read_key_required=False) == host


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:8000"])
def test_what_is_no_address_is_refused_whatever_was_decided(host: str) -> None:
    for decision in (None, True, False):
        with pytest.raises(ConfigurationError, match="KASPARRO_HOST"):
            require_decided(host, read_key_required=decision)
