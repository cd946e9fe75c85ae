"""Asks a server on this machine for its `/health`, without proxies and within a bounded time."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from kasparro.cli.background import POLL_SECONDS
from kasparro.cli.processes import Running
from kasparro.core.errors import KasparroError

ANSWER_TIMEOUT_SECONDS: Final = 5.0
START_TIMEOUT_SECONDS: Final = 60.0


def ask_health(host: str, port: int) -> Mapping[str, Any] | None:
    """The health report of what listens there; None when nothing does, or when it is no kasparro."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        document: object = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    if not isinstance(document, dict):
        return None
    report = cast("Mapping[str, Any]", document)
    return report if {"status", "database", "version"} <= report.keys() else None


def wait_for_health(server: Running, lives: Callable[[], bool]) -> Mapping[str, Any]:
    """The first answer of a server that was just started.

    Raises KasparroError when it is silent, or no longer `lives`.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        report = ask_health(server.host, server.port)
        if report is not None:
            return report
        if not lives():
            raise KasparroError("the API server ended instead of answering")
        time.sleep(POLL_SECONDS)
    raise KasparroError(f"the API server did not answer within {START_TIMEOUT_SECONDS:.0f} s at {server.url}/health")
