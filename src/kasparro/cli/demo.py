"""`kasparro demo`: an upstream to load from where there is no network."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from kasparro.cli.frame import Context, command

if TYPE_CHECKING:
    from datetime import datetime

HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to bind (default: 127.0.0.1); the feed needs no key at any.",
        show_default=False,
    ),
]
PortOption = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="Port (default: KASPARRO_DEMO_PORT, else 8010).")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="Stand still at this moment of the week, such as 2018-02-05T12:00:00Z."),
]
StartedOption = Annotated[
    str | None,
    typer.Option("--started", metavar="TIME", help="When the replay began (ISO 8601); default: now."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on where the first replay of this home would be by now.")
]
SpeedOption = Annotated[
    float,
    typer.Option(
        "--speed", min=0, help="Seconds of the week that go by in a second (default: 60).", show_default=False
    ),
]
LimitsOption = Annotated[
    bool, typer.Option("--limits/--no-limits", help="Whether every fifth request of the API is answered with 429.")
]


@command(example="kasparro demo --at 2018-02-05T12:00:00Z", service="demo")
async def demo(  # noqa: PLR0913, PLR0917  options arrive as arguments
    context: Context,
    host: HostOption = "127.0.0.1",
    port: PortOption = None,
    at: AtOption = None,
    started: StartedOption = None,
    resume: ResumeOption = False,
    speed: SpeedOption = 60.0,
    limits: LimitsOption = True,
) -> None:
    """Serve a real week of earthquakes as the U.S. Geological Survey does: a query API, whose key is API_KEY, and a
    feed. The week goes by while it runs: events appear and are revised. See docs/demo.md."""
    from datetime import UTC, datetime

    from kasparro.cli.background import DEMO, INHERITED, Background
    from kasparro.cli.demo_process import began
    from kasparro.cli.fingerprint import take
    from kasparro.core.logging import get_logger
    from kasparro.core.serving import serve_application
    from kasparro.demo.app import REFUSED_EVERY, create_app
    from kasparro.demo.replay import Replay, moment
    from kasparro.demo.week import instant, load_week

    key, port = _require_key(context), port or context.settings.demo_port
    _require_free(host, port)
    first = _one_of(started, began(context.settings.home) if resume else None)
    replay = Replay(_time("--started", first) or datetime.now(UTC), _finite(speed), _time("--at", at))
    week, in_background = load_week(), INHERITED in os.environ

    def clock() -> int:
        return moment(week, replay, datetime.now(UTC))

    def announce() -> None:
        stands = f"the week stands at {instant(clock()):%Y-%m-%d %H:%M}Z"
        if in_background:  # its log has JSON alone
            get_logger(__name__).info("demo.started", message=stands)
        else:
            context.note(f"{stands}; Ctrl-C stops the demo")

    app = create_app(week, clock=clock, key=key, refused_every=REFUSED_EVERY if limits else None)
    with Background(context.settings.home, DEMO).held(host, port, take(context.settings, DEMO, host, port)):
        await serve_application(app, host=host, port=port, on_ready=announce)


def _require_key(context: Context) -> str:
    from kasparro.core.errors import ConfigurationError

    key = context.settings.api_key
    if key is None:
        hint = "choose one for the demo, and give it to the source as well: both read API_KEY"
        state = "is empty" if "API_KEY" in os.environ else "is not set (nor API_KEY_FILE)"
        raise ConfigurationError(f"environment: API_KEY {state}", hint=hint)
    return key.get_secret_value()


def _require_free(host: str, port: int) -> None:
    from kasparro.core.address import is_taken
    from kasparro.core.errors import ConfigurationError

    if is_taken(host, port):
        raise ConfigurationError(f"port {port} on {host} is taken", hint=f"choose another one: --port {port + 1}")


def _one_of(started: str | None, resumed: str | None) -> str | None:
    from kasparro.core.errors import UsageError

    if started and resumed:
        raise UsageError("--started, --resume: each says when the replay began; keep one")
    return started or resumed


def _time(option: str, text: str | None) -> "datetime | None":
    from kasparro.core.errors import UsageError
    from kasparro.schemas.readings import Defective, time_reading

    try:
        return None if text is None else time_reading("UTC", frozenset())(text)
    except Defective as defective:
        raise UsageError(f"{option}: {defective.message}") from None


def _finite(speed: float) -> float:
    import math

    from kasparro.core.errors import UsageError

    if not math.isfinite(speed):
        raise UsageError(f"--speed: {speed} is not a number of seconds")
    return speed
