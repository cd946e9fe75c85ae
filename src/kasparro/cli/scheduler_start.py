"""The scheduler in the background of `kasparro up`: started unless it runs, and at work before that is said."""

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from kasparro.cli.background import POLL_SECONDS, SCHEDULER, Background
from kasparro.cli.fingerprint import take
from kasparro.cli.frame import Context
from kasparro.cli.progress import step
from kasparro.core.errors import RunConflictError

if TYPE_CHECKING:
    from kasparro.cli.processes import Running
    from kasparro.core.database import ConnectionOptions

PATIENCE_SECONDS: Final = 10.0
"""How long it may take until it asks for runs, which nobody can queue before."""


async def start_scheduler(context: Context, options: "ConnectionOptions") -> None:
    """Go on loading what is new, in the background; unless the scheduler of this home runs already.

    Returns once it has asked for runs, or after `PATIENCE_SECONDS`, which is said.
    """
    scheduler = Background(context.settings.home, SCHEDULER)
    if await asyncio.to_thread(scheduler.find) is not None:
        return
    with step(context.output, "scheduler", unit=None) as shown:
        process = await asyncio.to_thread(_start, context, scheduler)
        at_work = process is None or await _has_asked(options, scheduler, process)
        if not at_work:
            shown.end_early("not at work yet")
    if not at_work:
        context.note(f"the scheduler has not asked for runs yet; its log is {scheduler.log_path}")


async def stop_gently(scheduler: Background, *, within_seconds: float) -> None:
    """End it at a batch's edge; cancelled meanwhile (a second signal), at once."""
    stopping = asyncio.ensure_future(asyncio.to_thread(scheduler.stop, within_seconds=within_seconds))
    try:
        await asyncio.shield(stopping)
    except asyncio.CancelledError:
        running = scheduler.find()
        if running is not None:
            running.send(signal.SIGTERM)
        raise


def _start(context: Context, scheduler: Background) -> "Running | None":
    """None when another process was faster."""
    arguments = ["scheduler", "--config", str(context.config_path)]
    try:
        return scheduler.start(arguments, fingerprint=take(context.settings, SCHEDULER))
    except RunConflictError:
        return None


async def _has_asked(options: "ConnectionOptions", scheduler: Background, process: "Running") -> bool:
    """Wait for it; False when it ends before, or takes too long."""
    from kasparro.core.database import connect, house_errors
    from kasparro.services import workers

    name = workers.name_of(process.pid)
    connection = await connect(options, application_name="kasparro:up")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            with house_errors():
                while name not in await workers.alive(connection):
                    if await asyncio.to_thread(scheduler.find) is None:
                        return False
                    await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return False
    finally:
        await connection.close()
    return True
