"""How far a long command is: a bar when standard error is a terminal, one line a step when it is not."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from kasparro.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_INTERVAL_SECONDS: Final = 5.0
"""Without a terminal a step speaks when it begins, when it ends, and at most this often between."""


class Step(Protocol):
    """One piece of work that people wait for."""

    def advance(self, count: int, *, detail: str = "") -> None:
        """Set how much is done so far (not how much more), with an optional word on it."""
        ...

    def end_early(self, how: str) -> None:
        """Say that the work ended before it was done: `failed`, `interrupted`. An exception says so by itself."""
        ...


@contextmanager
def step(
    output: Output, label: str, *, total: int | None = None, unit: str | None = "records"
) -> Generator[Step, None, None]:
    """Show one step from begin to end; `unit` None: there is nothing to count. Silent with `--quiet`."""
    if output.quiet:
        yield _Silent()
    elif output.stderr.isatty():
        with _bar(output, label, total=total, unit=unit) as shown:
            yield shown
    else:
        with _lines(output, label, total=total, unit=unit) as shown:
            yield shown


class _Silent:
    def advance(self, count: int, *, detail: str = "") -> None:
        pass

    def end_early(self, how: str) -> None:
        pass


class _Bar:
    def __init__(self, progress: "RichProgress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task
        self._ended_early = False

    def advance(self, count: int, *, detail: str = "") -> None:
        self._progress.update(self._task, completed=count, detail=detail)

    def end_early(self, how: str) -> None:
        self._ended_early = True
        self._progress.update(self._task, description=f"{self._progress.tasks[0].description}: {how}")

    def finish(self) -> None:
        """Fill the bar, unless the work ended early."""
        if not self._ended_early:
            self._progress.update(self._task, total=self._progress.tasks[0].completed)


@contextmanager
def _bar(output: Output, label: str, *, total: int | None, unit: str | None) -> Generator[_Bar, None, None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    counting = (
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}} {unit}"),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        *(counting if unit else ()),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=output.stderr)) as progress:
        task = progress.add_task(label, total=total, detail="")
        bar = _Bar(progress, task)
        with _ended_by_exceptions(bar):
            yield bar
        bar.finish()


@contextmanager
def _ended_by_exceptions(shown: Step) -> Generator[None, None, None]:
    """An error ends a step as `failed`, a signal as `stopped`."""
    try:
        yield
    except BaseException as error:
        shown.end_early("failed" if isinstance(error, Exception) else "stopped")
        raise


class _Lines:
    def __init__(self, output: Output, label: str, *, total: int | None, unit: str | None) -> None:
        self._output = output
        self._label = label
        self._total = total
        self._unit = unit
        self._spoke_at = time.monotonic()
        self._ended = "done"
        self.count = 0

    def advance(self, count: int, *, detail: str = "") -> None:
        self.count = count
        now = time.monotonic()
        if now - self._spoke_at >= LINE_INTERVAL_SECONDS:
            self._spoke_at = now
            self._output.note(f"{self._label}: {self.amount()} {detail}".rstrip())

    def end_early(self, how: str) -> None:
        self._ended = how

    def last_line(self, seconds: float) -> str:
        """How the step ended, and how far it came."""
        if self._ended == "done":
            return f"{self._label}: {self.amount() + ', ' if self.count else ''}done in {seconds:.1f} s"
        return f"{self._label}: {self._ended}{' after ' + self.amount() if self.count else ''}"

    def amount(self) -> str:
        of_total = "" if self._total is None else f" of {self._total:,}"
        return f"{self.count:,}{of_total} {self._unit}"


@contextmanager
def _lines(output: Output, label: str, *, total: int | None, unit: str | None) -> Generator[_Lines, None, None]:
    lines = _Lines(output, label, total=total, unit=unit)
    output.note(f"{label} ...")
    began = time.monotonic()
    try:
        with _ended_by_exceptions(lines):
            yield lines
    finally:
        output.note(lines.last_line(time.monotonic() - began))
