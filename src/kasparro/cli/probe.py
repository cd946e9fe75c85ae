"""Is the server in this container ready? `python -m kasparro.cli.probe [URL]`, for health checks: exit 0 or 1.

No part of the `kasparro` command, whose start takes longer than the answer: this one imports the standard library only.
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
    """Ask and print one line of what was answered."""
    url = arguments[0] if arguments else _own_url()
    try:
        status, text = _ask(url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"{url}: {type(error).__name__}: {error}")
        return 1
    print(f"{url}: {status} {text}")
    return 0 if status == http.client.OK else 1


def _own_url() -> str:
    """The readiness of the API that the environment describes."""
    host = os.environ.get("KASPARRO_HOST", "")
    host = _REACHED_AT.get(host, host)
    address = f"[{host}]" if ":" in host else host
    return f"http://{address}:{os.environ.get('KASPARRO_PORT') or 8000}/health/ready"


def _ask(url: str) -> tuple[int, str]:
    """Status and the start of the body. Proxies are none of a probe's business."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        return response.status, response.read(500).decode(errors="replace")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
