"""`kasparro status --watch`: look, show, wait, until `q` or Ctrl-C; a database that goes away is waited for."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

from kasparro.cli.frame import Context
from kasparro.cli.output import Result, Table
from kasparro.cli.watch_table import Seen, table_of
from kasparro.core.durations import about
from kasparro.core.errors import ConfigurationError, ConnectionLostError, KasparroError, UsageError

if TYPE_CHECKING:
    from kasparro.core.database import Connection
    from kasparro.services.live import Live
    from kasparro.workers.timetable import Schedule

LOOK_SECONDS: Final = 5.0
"""A look that takes longer is given up: the database hangs."""
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_CLEAR: Final = "\x1b[H\x1b[2J"
_FRAME_LINES: Final = 7
"""What stands around the sources: two lines of heading, those of the table, and what is left out."""


async def watch(context: Context, interval_seconds: float) -> Result | None:
    """Show each source again and again. On a terminal one screen, else some lines each time. Raises UsageError."""
    if context.json:
        hint = "`kasparro status --json` shows it once, and GET /health again and again"
        raise UsageError("--watch is for people: it goes without --json", hint=hint)
    stop, screen = asyncio.Event(), context.output.stdout.isatty()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    watching = _Watching(context, _schedules(context), screen=screen)
    try:
        with _screen(stop) if screen else _plain():
            while not stop.is_set():
                if await _unless(stop, watching.look()):
                    watching.show()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), interval_seconds)
    finally:
        watching.close()
    return None


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False when `stop` was set before it was done."""
    working, asked = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return not stop.is_set()
    finally:
        asked.cancel()
        working.cancel()


class _Watching:
    """What was seen last, and the connection to look through."""

    def __init__(self, context: Context, schedules: "Mapping[str, Schedule]", *, screen: bool) -> None:
        self._context = context
        self._schedules = schedules
        self._screen = screen
        self._connection: Connection | None = None
        self._trouble = ""
        self._before: Seen | None = None
        self._seen: Seen | None = None

    async def look(self) -> None:
        """See how things stand; what keeps from seeing it is shown, and the next look connects anew."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                live = await self._live()
            self._before, self._seen, self._trouble = self._seen, Seen(live, time.monotonic()), ""
        except TimeoutError:
            self._lose(f"the database did not answer within {LOOK_SECONDS:g} s")
        except KasparroError as error:
            self._lose(error.message)

    def show(self) -> None:
        """One screen, or lines below those of the look before."""
        if self._screen:
            self._context.output.stdout.write(_CLEAR)
        self._context.output.emit(Result({}, self._parts()))
        self._context.output.stdout.flush()

    def close(self) -> None:
        """Leave the database, without waiting for it."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _parts(self) -> list[str | Table]:
        now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        lines: list[str | Table] = [f"kasparro status, {now}{'; q or Ctrl-C ends it' if self._screen else ''}"]
        if self._trouble:
            lines.append(f"database: {self._trouble}")
        if self._seen is None:
            return lines
        if self._trouble:
            lines.append(f"what was seen {about(time.monotonic() - self._seen.at)} ago:")
        room = max(1, shutil.get_terminal_size().lines - _FRAME_LINES) if self._screen else None
        shown = table_of(self._seen, self._before, self._schedules, room=room)
        return [*lines, "", *shown] if self._screen else [*lines, *shown]

    async def _live(self) -> "Live":
        from kasparro.core.database import house_errors
        from kasparro.services.live import read_live

        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connected()
        with house_errors():
            return await read_live(self._connection)

    async def _connected(self) -> "Connection":
        """Starts no server."""
        from kasparro.cli.database import connect_briefly
        from kasparro.core import embedded
        from kasparro.core.database import house_errors, resolve
        from kasparro.services.migrations import require_current

        settings = self._context.settings
        if settings.database_url is None and not embedded.status(settings.home).running:
            raise ConnectionLostError("embedded PostgreSQL, not running")
        connection = await connect_briefly(await resolve(settings), "watch")
        try:
            with house_errors():
                await require_current(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _lose(self, trouble: str) -> None:
        self._trouble = trouble
        self.close()


def _schedules(context: Context) -> "Mapping[str, Schedule]":
    """When the configuration says that each source is due; none where it cannot be read, which `doctor` explains."""
    from datetime import timedelta

    from kasparro.schemas.configuration import load_configuration
    from kasparro.schemas.configuration.schedule import every

    usual = every(timedelta(minutes=context.settings.etl_interval_minutes))
    try:
        sources = load_configuration(context.config_path, os.environ).sources
    except ConfigurationError:
        return {}
    return {source.name: cast("Schedule", source.schedule or usual) for source in sources}


@contextmanager
def _plain() -> Generator[None]:
    yield


@contextmanager
def _screen(stop: asyncio.Event) -> Generator[None]:
    """A screen of its own, without a cursor; `q` sets `stop`. The terminal is left as it was found."""
    sys.stdout.write(_ENTER)
    try:
        with _keys(stop) if sys.stdin.isatty() else _plain():
            yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()


@contextmanager
def _keys(stop: asyncio.Event) -> Generator[None]:
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    as_found = termios.tcgetattr(keyboard)

    def pressed() -> None:
        keys = os.read(keyboard, 100)
        if not keys or b"q" in keys.lower():
            stop.set()
            asyncio.get_running_loop().remove_reader(keyboard)

    tty.setcbreak(keyboard)
    asyncio.get_running_loop().add_reader(keyboard, pressed)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, as_found)
