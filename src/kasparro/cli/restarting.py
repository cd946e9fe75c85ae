"""Background processes that were started with other settings, configuration or code than the present ones."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kasparro.cli.background import TITLES, Background, patience
from kasparro.cli.fingerprint import changes
from kasparro.cli.frame import Context
from kasparro.cli.processes import Running

if TYPE_CHECKING:
    from kasparro.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Outdated:
    """A process, and what is different now from what it was started with."""

    name: str
    process: Running
    changed: tuple[str, ...]

    @property
    def difference(self) -> str:
        """What is different, for people."""
        *others, last = self.changed
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def told(self) -> str:
        """The process and the difference, for people."""
        return f"the {TITLES[self.name]} (process {self.process.pid}) was started with another {self.difference}"


def find_outdated(settings: "Settings", name: str, host: str = "", port: int = 0) -> Outdated | None:
    """The process of this name, if it runs and is to serve elsewhere or otherwise. Raises ConfigurationError."""
    process = Background(settings.home, name).find()
    if process is None:
        return None
    changed = changes(process.fingerprint, settings, name, host, port)
    return Outdated(name, process, tuple(changed)) if changed else None


def stop_outdated(context: Context, name: str, host: str = "", port: int = 0) -> None:
    """Stop a process of the background that is outdated, so that it can be started anew; say so in a line.

    One that was started by hand is left to whoever did that.
    """
    outdated = find_outdated(context.settings, name, host, port)
    if outdated is None:
        return
    if not outdated.process.detached:
        context.note(f"{outdated.told}, by hand, so restart it yourself")
        return
    context.note(f"{outdated.told}: restarting it")
    settings = context.settings
    Background(settings.home, name).stop(only=outdated.process, within_seconds=patience(settings))
