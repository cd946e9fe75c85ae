"""From where on a server's setting matters to kasparro."""

from pathlib import Path

import pytest

from kasparro.core.server_settings import RECOMMENDED, Recommendation

BY_NAME = {each.name: each for each in RECOMMENDED}
DEPLOYMENT = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"


@pytest.mark.parametrize(
    ("name", "setting", "unit", "met"),
    [
        ("fsync", "on", None, True),
        ("fsync", "off", None, False),
        ("autovacuum", "off", None, False),
        ("max_wal_size", "4096", "MB", True),
        ("max_wal_size", "1024", "MB", True),
        ("max_wal_size", "1023", "MB", False),
        ("checkpoint_timeout", "300", "s", True),
        ("checkpoint_timeout", "299", "s", False),
        ("shared_buffers", "16384", "8kB", True),
        ("shared_buffers", "16383", "8kB", False),
        ("max_connections", "40", None, True),
        ("max_connections", "25", None, False),
        ("statement_timeout", "0", "ms", True),
        ("statement_timeout", "60000", "ms", True),
        ("statement_timeout", "59999", "ms", False),
    ],
)
def test_setting_matters_from_a_point_on(name: str, setting: str, unit: str | None, met: bool) -> None:
    assert BY_NAME[name].is_met(setting, unit) == met


@pytest.mark.parametrize("each", RECOMMENDED, ids=lambda each: each.name)
def test_deployment_page_says_what_to_set_each_to(each: Recommendation) -> None:
    assert f"| `{each.name}` | `{each.value}` |" in DEPLOYMENT.read_text(encoding="utf-8")
