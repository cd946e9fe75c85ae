"""The frame around every command: common options, settings, errors to exit codes, signals.

A command is one decorated function in its own file, listed in `main.py`:

    @command(example="kasparro runs list --source flights")
    async def list_runs(context: Context, source: Annotated[str | None, typer.Option(help="...")] = None) -> Result:
        '''Show the latest runs.'''

It receives a frozen Context first, may be async, imports what it needs inside, and returns a Result (or None).
`--json`, `--quiet` and `--config` are added to each; a KasparroError ends as message, hint and its exit code.
"""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, cast
from weakref import WeakKeyDictionary

import typer

from kasparro.cli.environment import read_env_file
from kasparro.cli.output import Output, Result
from kasparro.core.errors import (
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    KasparroError,
    UsageError,
)

if TYPE_CHECKING:
    from kasparro.core.settings import Settings

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration file (default: kasparro.yaml).",
    ),
]


@dataclass(frozen=True, slots=True)
class Context:
    """What every command knows: the settings (with `--config` applied) and where to speak."""

    settings: "Settings"
    output: Output = field(default_factory=Output)

    @property
    def config_path(self) -> Path:
        return self.settings.config_path

    @property
    def json(self) -> bool:
        return self.output.json

    @property
    def quiet(self) -> bool:
        return self.output.quiet

    def note(self, text: str) -> None:
        """Say something to people on standard error, unless `--quiet`."""
        self.output.note(text)


_signalled: "WeakKeyDictionary[asyncio.Task[Any], int]" = WeakKeyDictionary()
"""Tasks that a signal cancelled, with the exit code that stands for it."""
_USAGE_PROBLEM = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""What Typer raises for every wrong command line; it exports only this one of its kinds."""
Body = Callable[Concatenate[Context, ...], Result | Awaitable[Result | None] | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as Typer takes it, and the example that its `--help` shows."""

    callback: Callable[..., None]
    example: str
    service: str | None


def command(*, example: str, service: str | None = None) -> Callable[[Body], Command]:
    """Make a Command of a function. `service` names a long-running one, whose log goes to standard output."""

    def decorate(body: Body) -> Command:
        def callback(*, as_json: bool, quiet: bool, config: Path | None, **arguments: object) -> None:
            output = Output(json=as_json, quiet=quiet)
            raise typer.Exit(_run(body, output, config, arguments, service))

        parameters = list(inspect.signature(body, eval_str=True).parameters.values())[1:] + _common_parameters()
        named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        callback.__signature__ = inspect.Signature(named)
        callback.__annotations__ = {parameter.name: parameter.annotation for parameter in named}
        callback.__doc__, callback.__name__ = (
            body.__doc__,
            getattr(body, "__name__", "command"),
        )
        return Command(callback, example, service)

    return decorate


def add(app: typer.Typer, name: str, entry: Command) -> None:
    """List a command under `name`, with its example at the end of `--help`."""
    app.command(name, epilog=f"Example: {entry.example}")(entry.callback)


def group(app: typer.Typer, name: str, help_text: str, **commands: Command) -> None:
    """List a group of commands (`kasparro runs list`); `_` in a keyword stands for `-`."""
    inner = typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for inner_name, entry in commands.items():
        add(inner, inner_name.replace("_", "-"), entry)
    app.add_typer(inner, name=name)


def start(app: typer.Typer) -> None:
    """Run the command line and exit; with `--json` a usage error is the one object on standard output as well."""
    if "--json" not in sys.argv[1:]:
        app()
    try:
        code = app(standalone_mode=False)
    except _USAGE_PROBLEM as problem:
        shown = cast("Any", problem)
        shown.show()
        Output(json=True).emit_error(UsageError(shown.format_message()))
        sys.exit(EXIT_USAGE)
    sys.exit(code)


def _common_parameters() -> list[inspect.Parameter]:
    kinds = (
        ("as_json", JsonOption, False),
        ("quiet", QuietOption, False),
        ("config", ConfigOption, None),
    )
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in kinds
    ]


def _run(
    body: Body,
    output: Output,
    config: Path | None,
    arguments: dict[str, object],
    service: str | None,
) -> int:
    """Run the command's body; the exit code says how it ended."""
    try:
        context = _context(output, config)
        _set_up_logging(context, service)
        _require_text(arguments)
        result = _call(body, context, arguments)
        if result is None:
            return 0
        output.emit(result)
        return result.exit_code
    except KasparroError as error:
        output.fail(error)
        return error.exit_code
    except _StoppedError as stopped:
        return stopped.exit_code
    except KeyboardInterrupt:
        return EXIT_SIGINT
    except BrokenPipeError:
        _silence_standard_output()
        return EXIT_UNEXPECTED
    except Exception as error:  # noqa: BLE001  the one place where what nobody expected ends
        _report_unexpected(error, output)
        return EXIT_UNEXPECTED
    finally:
        _end_traces()


def _end_traces() -> None:
    from kasparro.core import tracing

    tracing.stop()


def _require_text(arguments: dict[str, object]) -> None:
    """Raises UsageError for an argument that is no UTF-8 text: nothing in the database has such a name."""
    from kasparro.core.canonical import storable_text

    for value in arguments.values():
        for text in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(text, str) and storable_text(text) != text:
                raise UsageError(f"an argument is not UTF-8 text: {storable_text(text)}")


def _context(output: Output, config: Path | None) -> Context:
    from kasparro.core.settings import load_settings

    read_env_file(config)
    environ = dict(os.environ)
    if config is not None:
        environ.pop("KASPARRO_CONFIG_FILE", None)
        environ["KASPARRO_CONFIG"] = str(config)
    return Context(load_settings(environ), output)


def _set_up_logging(context: Context, service: str | None) -> None:
    from kasparro.core import tracing
    from kasparro.core.log_levels import levels_of
    from kasparro.core.logging import configure_logging

    level, chosen = context.settings.log_level, "log_level" in context.settings.model_fields_set
    drawn = service is None and not chosen and context.output.stderr.isatty()  # its progress says it already
    if (context.quiet or drawn) and level in {"DEBUG", "INFO"}:
        level = "WARNING"
    stream = context.output.log_stream if service else None
    levels = {} if context.quiet else levels_of(context.settings.log_levels)
    configure_logging(level, service=service or "cli", stream=stream, levels=levels)
    tracing.start(service or "cli")


class _StoppedError(Exception):
    """The command was asked to end by a signal; the exit code says which."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def _call(body: Body, context: Context, arguments: dict[str, object]) -> Result | None:
    outcome = body(context, **arguments)
    if not inspect.isawaitable(outcome):
        return outcome
    return asyncio.run(_until_signalled(cast("Coroutine[Any, Any, Result | None]", outcome)))


async def _until_signalled(work: Coroutine[Any, Any, Result | None]) -> Result | None:
    """Await the command; SIGINT and SIGTERM cancel it. A command that ends more gently sets its own handlers."""
    task = asyncio.get_running_loop().create_task(work)
    cancel_on_signals(task)
    try:
        return await task
    except asyncio.CancelledError:
        if task in _signalled:
            raise _StoppedError(_signalled[task]) from None
        raise


def cancel_on_signals(task: "asyncio.Task[Any]") -> None:
    """Let SIGINT and SIGTERM cancel the command's task: for a command that had handlers of its own for a while."""

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, cancel_for_signal, task, EXIT_SIGINT)
    loop.add_signal_handler(signal.SIGTERM, cancel_for_signal, task, EXIT_SIGTERM)


def cancel_for_signal(task: "asyncio.Task[Any]", exit_code: int) -> None:
    """Cancel the command's task; its exit code says by which signal."""
    _signalled[task] = exit_code
    task.cancel()


def _silence_standard_output() -> None:
    """The reader of a pipe has gone (`kasparro runs list | head`): keep the interpreter's last flush quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_unexpected(error: Exception, output: Output) -> None:
    from kasparro.core.logging import get_logger

    get_logger(__name__).error("command.failed", message="unexpected error", exc_info=error)
    failure = KasparroError(
        f"unexpected error: {type(error).__name__}",
        hint="This is a bug: please report it with the log line above.",
    )
    output.fail(failure)
