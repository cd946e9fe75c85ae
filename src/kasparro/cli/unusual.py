"""What is unusual about a run, for commands."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kasparro.services.anomalies import FoundAnomaly


def anomalies_as_data(found: "Iterable[FoundAnomaly]") -> list[dict[str, Any]]:
    """For `--json`."""
    return [
        {name: value for name, value in asdict(each).items() if name not in {"run_id", "source", "created_at"}}
        for each in found
    ]


def anomaly_lines(found: "Iterable[FoundAnomaly]") -> list[str]:
    """One line each, for people."""
    return [f"unusual: {each.message}" for each in found]
