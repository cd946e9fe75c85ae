"""The demo upstream in the background, for configurations that read from it."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kasparro.cli.background import DEMO, POLL_SECONDS, Background, usable
from kasparro.cli.fingerprint import take
from kasparro.cli.frame import Context
from kasparro.cli.restarting import stop_outdated
from kasparro.core.address import is_taken
from kasparro.core.errors import ConfigurationError, KasparroError, RunConflictError
from kasparro.core.settings import Settings

HOST: Final = "127.0.0.1"
START_TIMEOUT_SECONDS: Final = 30.0


def is_wanted(context: Context) -> bool:
    """Whether a configured source reads from the demo's address."""
    from kasparro.schemas.configuration import load_configuration

    sources = load_configuration(context.config_path, os.environ).sources
    return any(reads_from_demo(source, context.settings) for source in sources)


def reads_from_demo(source: object, settings: Settings) -> bool:
    """Whether the source reads from the demo's address."""
    address = f"http://{HOST}:{settings.demo_port}/"
    return any(url.startswith(address) for url in _urls(source))


def start_demo(settings: Settings) -> None:
    """Start the demo of this home unless it runs; returns once it takes connections.

    A replay goes on from the moment at which this home's first one began, so that no source is told older versions
    than it has seen. Raises ConfigurationError when another program has the port, or the demo has another port.
    """
    demo = Background(settings.home, DEMO)
    _require_own_port(demo, settings.demo_port)
    arguments = ["demo", "--port", str(settings.demo_port), "--resume"]
    with suppress(RunConflictError):  # it runs, or another process has just started it: both will take connections
        demo.start(arguments, HOST, settings.demo_port, take(settings, DEMO, HOST, settings.demo_port))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not is_taken(HOST, settings.demo_port):
        if demo.find() is None or time.monotonic() > deadline:
            raise KasparroError("the demo upstream did not start", hint=f"{demo.log_path}:\n{demo.log_tail()}")
        time.sleep(POLL_SECONDS)


def stop_outdated_demo(context: Context) -> None:
    """Stop a demo of the background that is outdated; where it is to move, only once the new port is free."""
    settings = context.settings
    running = Background(settings.home, DEMO).find()
    if running is not None and running.detached and running.port != settings.demo_port:
        _require_free(settings.demo_port)
    stop_outdated(context, DEMO, HOST, settings.demo_port)


def _require_own_port(demo: Background, port: int) -> None:
    running = demo.find()
    if running is None and is_taken(HOST, port) and (running := demo.find()) is None:
        _require_free(port)
    if running is not None and running.port != port:
        raise ConfigurationError(
            f"the demo upstream runs at {running.url} (process {running.pid}), and the sources read from port {port}",
            hint=f"stop it, or set KASPARRO_DEMO_PORT={running.port}",
        )


def _require_free(port: int) -> None:
    if is_taken(HOST, port):
        raise ConfigurationError(
            f"port {port} on {HOST}, the demo upstream's, is taken by another program",
            hint=f"stop it, or choose another port: KASPARRO_DEMO_PORT={port + 1}",
        )


def began(home: Path) -> str:
    """When this home's first replay began; now, if there was none."""
    path = home / "demo.started"
    with usable(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(datetime.now(UTC).isoformat(timespec="seconds"), encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()


def _urls(source: object) -> list[str]:
    """The URLs of a source that has some."""
    single, several = getattr(source, "url", None), getattr(source, "urls", None)
    return [*([single] if isinstance(single, str) else []), *(several or [])]
