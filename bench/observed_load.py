"""`kasparro run --json` of the configuration here, observed or not: `python -m bench.observed_load without|with`.

`without` puts functions that do nothing in the place of those that observe; a name that is not there any more is an
error.
"""

import sys
from collections.abc import Awaitable
from types import ModuleType
from typing import Any

from kasparro.cli.interpreter import hasten

hasten()  # before PyArrow is imported, as the command does it

from kasparro.cli.main import main as kasparro  # noqa: E402
from kasparro.ingestion import coordinator, run, tallying  # noqa: E402
from kasparro.services import batches, runs  # noqa: E402


async def _nothing(*_: Any, **__: Any) -> None:
    """In the place of what writes counters, anomalies and alerts."""


async def _no_results(*_: Any, **__: Any) -> tuple[()]:
    """In the place of what asks for them."""
    return ()


async def _no_counts(*_: Any, **__: Any) -> dict[str, int]:
    return {"drift_open": 0, "checks_failed": 0, "anomalies": 0}


async def _no_effort(*_: Any, **__: Any) -> tuple[int, dict[str, float]]:
    return 0, {}


async def _unobserved(_source: str, _request: Any, running: Awaitable[Any]) -> Any:
    return await running


def _silent(*_: Any, **__: Any) -> None:
    """In the place of log lines."""


def _itself(given: Any, *_: Any) -> Any:
    return given


def switch_off() -> None:
    """Metric counters, stage sums, anomalies, alerts, log lines, bound context, batch lines and spans."""
    _replace(run, "observed", _unobserved)
    _replace(run, "observed_job", _itself)
    _replace(run, "observed_store", _itself)
    for name in ("name_run", "log_start", "log_end"):
        _replace(run, name, _silent)
    for name in ("report_anomalies", "report_quality"):
        _replace(run, name, _no_results)
    _replace(run.run_facts, "counts", _no_counts)
    _replace(coordinator, "settle_alerts", _nothing)
    _replace(tallying.Tallying, "write", _nothing)
    _replace(runs, "_count", _nothing)
    _replace(runs.anomalies, "judge_closed", _nothing)
    _replace(batches, "effort", _no_effort)


def _replace(place: ModuleType | type, name: str, replacement: Any) -> None:
    if not hasattr(place, name):
        raise AttributeError(f"{place.__name__} has no {name} any more: what else observes there?")
    setattr(place, name, replacement)


def main() -> None:
    """Run as the command line says."""
    if sys.argv[1] == "without":
        switch_off()
    sys.argv = ["kasparro", "run", "--json"]
    kasparro()


if __name__ == "__main__":
    main()
