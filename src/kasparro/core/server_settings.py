"""What kasparro wants of a PostgreSQL server: what its own has, and from where on another one's setting matters.

docs/decisions/0014-server-settings.md has what was measured, docs/deployment.md the same for people.
"""

from dataclasses import dataclass
from typing import Final

_KIB: Final = 1024
_MINUTE_MS: Final = 60_000
_UNITS: Final = {
    "B": 1, "kB": _KIB, "8kB": 8 * _KIB, "16kB": 16 * _KIB, "32kB": 32 * _KIB, "MB": _KIB**2, "GB": _KIB**3,
    "ms": 1, "s": 1_000, "min": _MINUTE_MS, "h": 60 * _MINUTE_MS,
}  # fmt: skip
"""Bytes or milliseconds: https://www.postgresql.org/docs/current/config-setting.html"""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A setting, the value to give it, and what is lost otherwise.

    It matters below `least` (bytes, milliseconds or a plain number); of a switch, whenever it is not `value`.
    """

    name: str
    value: str
    why: str
    least: int | None = None
    zero_is_unlimited: bool = False

    def is_met(self, setting: str, unit: str | None) -> bool:
        """Whether a server's setting, as `pg_settings` shows it, is good enough."""
        if self.least is None:
            return setting == self.value
        number = float(setting) * _UNITS.get(unit or "", 1)
        return number >= self.least or (self.zero_is_unlimited and number == 0)


RECOMMENDED: Final = (
    Recommendation("fsync", "on", "a power cut may destroy the whole database"),
    Recommendation("full_page_writes", "on", "a power cut may leave pages half written"),
    Recommendation("autovacuum", "on", "tables grow without end, and queries are planned for tables of the past"),
    Recommendation("track_counts", "on", "autovacuum does not know what to do"),
    Recommendation("max_wal_size", "4GB", "a large load waits for checkpoints", least=_KIB**3),
    Recommendation(
        "checkpoint_timeout", "15min", "each checkpoint makes the next change of a page dearer", least=5 * _MINUTE_MS
    ),
    Recommendation("shared_buffers", "256MB", "pages are written out while a load needs them", least=128 * _KIB**2),
    Recommendation("max_connections", "60", "the API keeps up to 10, each run one more than its lanes", least=40),
    Recommendation(
        "statement_timeout", "0", "a batch or a migration that takes longer is broken off", least=_MINUTE_MS,
        zero_is_unlimited=True,
    ),
)  # fmt: skip
"""What matters most comes first."""
