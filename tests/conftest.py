"""What every test stands on: an environment that says nothing, and the fixtures of the `fix_*` modules."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SETTINGS = {"DATABASE_URL", "API_KEY", "ETL_INTERVAL_MINUTES", "LOG_LEVEL", "SSLKEYLOGFILE"}
for _name in list(os.environ):
    _is_setting = _name.removesuffix("_FILE") in _SETTINGS or _name.startswith("KASPARRO_")
    _is_for_tests = _name.startswith("KASPARRO_TEST_") or _name in ("KASPARRO_CORPORA", "KASPARRO_FEEDPARSER_SUITE")
    if (_is_setting and not _is_for_tests) or _name.startswith("PG"):
        del os.environ[_name]

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

pytest_plugins = [
    "tests.fix_database",
    "tests.fix_proxy",
    "tests.fix_ports",
    "tests.http_server",
    "tests.fix_http",
    "tests.recovery.trouble",
]


@pytest.fixture(autouse=True)
def nothing_to_mask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test knows another's secrets and variables."""
    from kasparro.core import masking

    with monkeypatch.context() as patch:
        patch.setattr(masking, "_known_secrets", set[str]())
        patch.setattr(masking, "_filled", dict[str, str]())
        yield
