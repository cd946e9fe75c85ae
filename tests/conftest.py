"""What every test stands on: an environment that says nothing, and the fixtures of the `fix_*` modules."""

import os
import sys
from pathlib import Path

_SETTINGS = {"DATABASE_URL", "API_KEY", "ETL_INTERVAL_MINUTES", "LOG_LEVEL", "SSLKEYLOGFILE"}
for _name in list(os.environ):
    _is_setting = _name.removesuffix("_FILE") in _SETTINGS or _name.startswith("KASPARRO_")
    _is_for_tests = _name.startswith("KASPARRO_TEST_") or _name in ("KASPARRO_CORPORA", "KASPARRO_FEEDPARSER_SUITE")
    if (_is_setting and not _is_for_tests) or _name.startswith("PG"):
        del os.environ[_name]

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

pytest_plugins = ["tests.fix_database", "tests.http_server", "tests.fix_http"]
