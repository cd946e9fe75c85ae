"""`kasparro doctor`: look at everything kasparro needs, and say what to do about what is wrong. Starts nothing."""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from kasparro.cli.doctor_alerts import check_hooks
from kasparro.cli.doctor_processes import check_demo, check_scheduler, check_server
from kasparro.cli.doctor_settings import check_server_settings
from kasparro.cli.doctor_sources import check_clock, check_sources
from kasparro.cli.doctor_upstreams import check_upstreams
from kasparro.cli.finding import Finding, Verdict
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import EXIT_CONFIGURATION, EXIT_DATABASE, EXIT_OK, KasparroError

_TODO_OF_SCHEMA: Final = {
    "pending": "`kasparro migrate`",
    "newer": "install the kasparro that made it, or a newer one",
    "unknown": "not a revision of kasparro's: give kasparro a database of its own",
}


OfflineOption = Annotated[bool, typer.Option("--offline", help="Ask no upstream.")]
_WORST_FIRST: Final = (5, 3, 1, 7, 4)


@command(example="kasparro doctor --json")
async def doctor(context: Context, offline: OfflineOption = False) -> Result:
    """Check configuration, upstreams, database, migrations, clock, sources, processes, port and disk. Changes and
    starts nothing; asks each upstream once."""
    checks: tuple[tuple[str, Callable[[Context], Awaitable[list[Finding]]]], ...] = (
        ("python", _python),
        ("configuration", _configuration),
        ("database", _database),
        ("API server", check_server),
        ("scheduler", check_scheduler),
        ("demo upstream", check_demo),
        ("disk", _disk),
        *(() if offline else (("upstreams", check_upstreams),)),
    )
    findings: list[Finding] = []
    for name, check in checks:
        findings += await _run(name, check, context)
    rows = [(finding.check, finding.verdict, finding.found, finding.todo) for finding in findings]
    data = [{"check": item.check, "verdict": item.verdict, "found": item.found, "todo": item.todo} for item in findings]
    human = [Table(("check", "", "found", "what to do"), rows)]
    return Result({"worst": _worst(findings), "data": data}, human, _exit_code(findings))


def _worst(findings: list[Finding]) -> Verdict:
    verdicts = {finding.verdict for finding in findings}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"


def _exit_code(findings: list[Finding]) -> int:
    """That of the failure that weighs most: as of several sources in one run."""
    codes = {finding.exit_code for finding in findings if finding.verdict == "fail"}
    return next((code for code in _WORST_FIRST if code in codes), max(codes, default=EXIT_OK))


async def _run(name: str, check: Callable[[Context], Awaitable[list[Finding]]], context: Context) -> list[Finding]:
    """A check's findings; a house error is one."""
    try:
        return await check(context)
    except KasparroError as error:
        return [Finding(name, "fail", error.message, error.hint or "", error.exit_code)]


async def _python(context: Context) -> list[Finding]:
    del context
    from kasparro import __version__

    version = ".".join(str(part) for part in sys.version_info[:3])
    return [Finding("python", "ok", f"Python {version}, kasparro {__version__}")]


async def _configuration(context: Context) -> list[Finding]:
    from kasparro.schemas.configuration import load_configuration

    if not context.config_path.exists():
        todo = "write one, or name it by --config or KASPARRO_CONFIG"
        return [Finding("configuration", "warn", f"no file {context.config_path}", todo)]
    names = [source.name for source in load_configuration(context.config_path, os.environ).sources]
    return [Finding("configuration", "ok", f"{context.config_path}: {', '.join(names)}")]


async def _database(context: Context) -> list[Finding]:
    from kasparro.cli.database import connect_briefly
    from kasparro.core import embedded
    from kasparro.core.database import house_errors, resolve
    from kasparro.core.database.translation import HINTS
    from kasparro.core.errors import DatabaseUnreachableError
    from kasparro.services.health import read_schema_status
    from kasparro.services.migrations import require_usable

    if context.settings.database_url is None:
        server = embedded.status(context.settings.home)
        if not server.running:
            made = f"data of PostgreSQL {server.version}" if server.version else "no data yet"
            todo = "`kasparro up` starts it; so does any command that needs it"
            return [Finding("database", "warn", f"embedded server, not running; {made}", todo)]
    options = await resolve(context.settings)
    try:
        connection = await connect_briefly(options, "doctor")
    except DatabaseUnreachableError as error:
        ours = context.settings.database_url is None
        todo = "`kasparro down --force`, then `kasparro up`" if ours else "is it up, and does DATABASE_URL name it?"
        known = None if error.hint == HINTS[DatabaseUnreachableError] else error.hint  # that one leads to us
        return [Finding("database", "fail", error.message, known or todo, error.exit_code)]
    try:
        with house_errors():
            version = connection.get_server_version()
            settings = await check_server_settings(connection, embedded=context.settings.database_url is None)
            schema = await read_schema_status(connection)
            await require_usable(connection, schema.current)
            clock = await check_clock(connection)
            current = schema.state == "current"
            sources = [*await check_sources(connection), *await check_hooks(connection)] if current else []
    finally:
        await connection.close()
    reached = Finding("database", "ok", f"PostgreSQL {version.major}.{version.micro}, {options}")
    if schema.state == "current":
        return [reached, settings, clock, Finding("migrations", "ok", f"revision {schema.needed}"), *sources]
    found = f"revision {schema.current}, needed is {schema.needed}"
    return [reached, settings, clock, Finding("migrations", "fail", found, _TODO_OF_SCHEMA[schema.state], 5)]


async def _disk(context: Context) -> list[Finding]:
    from kasparro.core.disk import look, nearest_existing

    home = context.settings.home
    folder = nearest_existing(home)
    writable = os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
    if not (folder.is_dir() and writable):
        needed = context.settings.database_url is None
        what = f"{folder} cannot be written" if folder.is_dir() else f"{folder} is not a folder"
        todo = "set KASPARRO_HOME to a folder of your own"
        return [Finding("home", "fail" if needed else "warn", what, todo, EXIT_CONFIGURATION)]
    space = look(home)
    if space.state == "full":
        return [Finding("disk", "fail", str(space), "make room: PostgreSQL stops when its disk is full", EXIT_DATABASE)]
    if space.state == "low":
        return [Finding("disk", "warn", str(space), "make room, or set KASPARRO_HOME elsewhere")]
    return [Finding("disk", "ok", str(space))]
