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


class _Bar:
    def __init__(self, progress: "RichProgress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int, *, detail: str = "") -> None:
        self._progress.update(self._task, completed=count, detail=detail)


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
        yield _Bar(progress, task)
        progress.update(task, total=progress.tasks[0].completed)


class _Lines:
    def __init__(self, output: Output, label: str, *, total: int | None, unit: str | None) -> None:
        self._output = output
        self._label = label
        self._total = total
        self._unit = unit
        self._spoke_at = time.monotonic()
        self.count = 0

    def advance(self, count: int, *, detail: str = "") -> None:
        self.count = count
        now = time.monotonic()
        if now - self._spoke_at >= LINE_INTERVAL_SECONDS:
            self._spoke_at = now
            self._output.note(f"{self._label}: {self.amount()} {detail}".rstrip())

    def amount(self) -> str:
        of_total = "" if self._total is None else f" of {self._total:,}"
        return f"{self.count:,}{of_total} {self._unit}"


@contextmanager
def _lines(output: Output, label: str, *, total: int | None, unit: str | None) -> Generator[_Lines, None, None]:
    lines = _Lines(output, label, total=total, unit=unit)
    output.note(f"{label} ...")
    began = time.monotonic()
    try:
        yield lines
    except BaseException:
        output.note(f"{label}: stopped after {lines.amount()}")
        raise
    seconds = time.monotonic() - began
    done = f"{lines.amount()}, " if lines.count else ""
    output.note(f"{label}: {done}done in {seconds:.1f} s")
