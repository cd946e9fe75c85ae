"""Is what runs in this container well? `python -m kasparro.cli.probe [URL | NAME]`, for health checks: exit 0 or 1.

Without an argument: whether the API is ready. With a URL: whether it answers with 200. With a name (`scheduler`):
whether that service of this home is at work. No part of the `kasparro` command, whose start takes longer than this.
"""

import http.client
import os
import sys
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 5.0
_REACHED_AT: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  never bound here
"""Where a server that listens at all addresses is asked."""


def main(arguments: list[str]) -> int:
    """Ask and print one line of what was found."""
    what = arguments[0] if arguments else _own_url()
    well, found = _ask(what) if "://" in what else _find(what)
    print(f"{what}: {found}")
    return 0 if well else 1


def _own_url() -> str:
    """The readiness of the API that the environment describes."""
    host = os.environ.get("KASPARRO_HOST", "")
    host = _REACHED_AT.get(host, host)
    address = f"[{host}]" if ":" in host else host
    return f"http://{address}:{os.environ.get('KASPARRO_PORT') or 8000}/health/ready"


def _ask(url: str) -> tuple[bool, str]:
    """Whether it answers with 200, and the start of the answer. Proxies are none of a probe's business."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        text = response.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return response.status == http.client.OK, f"{response.status} {text}"


def _find(name: str) -> tuple[bool, str]:
    """Whether the service of this name holds its lock in the home that the environment names."""
    from pathlib import Path

    from kasparro.cli.background import Background
    from kasparro.core.errors import KasparroError

    try:
        running = Background(Path(os.environ.get("KASPARRO_HOME") or ".kasparro"), name).find()
    except KasparroError as error:
        return False, error.message
    return running is not None, "not running" if running is None else f"process {running.pid}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
