"""What all commands have in common: help, options, output, errors, exit codes, signals."""

import asyncio
import json
import signal
import sys
import textwrap

import pytest
import typer.main
from typer.testing import CliRunner

from kasparro.cli.main import app
from tests.acceptance.kasparro_process import environment, finish, kasparro, start

HEAVY = ("alembic", "asyncpg", "fastapi", "granian", "polars", "pyarrow", "pydantic", "sqlalchemy", "sqlmodel", "yaml")
SCRIPT = textwrap.dedent("""
    import asyncio, sys
    import typer
    from kasparro.cli.frame import Context, add, command
    from kasparro.cli.output import Result, Table
    from kasparro.core.errors import SourceError

    app = typer.Typer()

    @command(example="x refuse")
    async def refuse(context: Context) -> Result:
        raise SourceError("https://user:hunter2@host/ said no", hint="ask password=hunter2 again")

    @command(example="x crash")
    def crash(context: Context) -> Result:
        raise RuntimeError("https://user:hunter2@host/")

    @command(example="x wait")
    async def wait(context: Context) -> Result:
        print("ready", flush=True)
        await asyncio.Event().wait()
        return Result({})

    @command(example="x answer")
    def answer(context: Context) -> Result:
        context.note("thinking")
        return Result([{"n": 1234}], [Table(("n",), [(1234,)])], 9)

    @command(example="x much")
    def much(context: Context) -> Result:
        return Result([], ["x" * 1000] * 10000)

    for name, entry in {"refuse": refuse, "crash": crash, "wait": wait, "answer": answer, "much": much}.items():
        add(app, name, entry)
    app()
""")


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(command: object, path: tuple[str, ...]) -> None:
        inner: dict[str, object] | None = getattr(command, "commands", None)
        if inner is None:
            found.append(path)
        for name, item in (inner or {}).items():
            walk(item, (*path, name))

    walk(typer.main.get_command(app), ())
    return found


async def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, kasparro.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    ended = await finish(await start("-c", code))
    assert (ended.exit_code, ended.stdout.strip(), ended.stderr) == (0, "[]", "")


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_has_the_common_options_and_an_example(path: tuple[str, ...]) -> None:
    ended = CliRunner(env={"TERMINAL_WIDTH": "80"}).invoke(app, [*path, "--help"])
    assert ended.exit_code == 0
    assert f"Example: kasparro {' '.join(path)}" in ended.stdout
    for option in ("--json", "--quiet", "--config"):
        assert option in ended.stdout


async def test_run_says_how_long_it_waits_for_another_run() -> None:
    told = " ".join((await kasparro("run", "--help")).stdout.split())
    assert "waits up to 10 s for it, then leaves the source to it and exits with 8" in told


@pytest.mark.parametrize("arguments", [("stauts",), ("status", "--jsno"), ("runs", "lits"), ("status", "extra")])
async def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    ended = await kasparro(*arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")


async def test_a_misspelt_command_is_answered_by_the_nearest() -> None:
    assert "Did you mean 'status'" in (await kasparro("stauts")).stderr


async def test_a_wrong_variable_ends_with_3_and_its_name() -> None:
    ended = await kasparro("status", "--json", env=environment(LOG_LEVEL="LOUD"))
    assert ended.exit_code == 3
    assert "LOG_LEVEL" in ended.stderr
    assert ended.document["error"]["code"] == "configuration"
    assert ended.document["error"]["exit_code"] == 3


async def test_a_missing_configuration_file_is_named() -> None:
    ended = await kasparro("check", "--config", "nowhere.yaml")
    assert ended.exit_code == 3
    assert "nowhere.yaml" in ended.stderr


async def test_a_house_error_is_a_message_a_hint_and_its_exit_code() -> None:
    ended = await finish(await start("-c", SCRIPT, "refuse"))
    assert ended.exit_code == 4
    assert ended.stdout == ""
    assert ended.stderr == "kasparro: https://***@host/ said no\n  ask password=*** again\n"


async def test_a_house_error_in_json_is_one_object() -> None:
    ended = await finish(await start("-c", SCRIPT, "refuse", "--json"))
    assert ended.exit_code == 4
    assert ended.document == {
        "error": {
            "code": "source",
            "message": "https://***@host/ said no",
            "hint": "ask password=*** again",
            "exit_code": 4,
        }
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--nope", "--json"), "No such option: --nope"),
        (("rnu", "--json"), "No such command 'rnu'"),
        (("--json", "run"), "No such option: --json"),
        (("runs", "show", "--json"), "Missing argument 'RUN'"),
        (("runs", "show", "x", "--json"), "Input should be a valid integer"),
    ],
)
async def test_a_usage_error_in_json_is_one_object(arguments: tuple[str, ...], said: str) -> None:
    ended = await kasparro(*arguments)
    assert ended.exit_code == 2
    assert (ended.document["error"]["code"], ended.document["error"]["exit_code"]) == ("usage", 2)
    assert said in ended.document["error"]["message"]
    assert said in ended.stderr


async def test_help_and_results_go_their_usual_way_with_json() -> None:
    assert (await kasparro("run", "--json", "--help")).exit_code == 0
    assert (await kasparro("config", "schema", "--json")).document["title"]


async def test_an_unexpected_error_ends_with_1_and_one_logged_stack() -> None:
    ended = await finish(await start("-c", SCRIPT, "crash", "--json"))
    assert ended.exit_code == 1
    assert ended.document["error"]["message"] == "unexpected error: RuntimeError"
    logged = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in logged] == ["command.failed"]
    assert logged[0]["error.stack"].startswith("Traceback")
    assert "hunter2" not in ended.stderr + ended.stdout


async def test_results_go_to_stdout_and_the_rest_to_stderr() -> None:
    ended = await finish(await start("-c", SCRIPT, "answer"))
    assert (ended.exit_code, ended.stderr) == (9, "thinking\n")
    assert "1,234" in ended.stdout


async def test_quiet_says_nothing_but_the_result() -> None:
    ended = await finish(await start("-c", SCRIPT, "answer", "--quiet", "--json"))
    assert (ended.exit_code, ended.stderr) == (9, "")
    assert ended.document == {"data": [{"n": 1234}]}


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_signals_end_a_command_with_their_exit_code(number: signal.Signals, exit_code: int) -> None:
    process = await start("-c", SCRIPT, "wait")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    ended = await finish(process)
    assert (ended.exit_code, ended.stderr) == (exit_code, "")


async def test_a_reader_that_goes_away_is_no_crash() -> None:
    command = f"{sys.executable} -c '{SCRIPT}' much | head -c 10"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command.replace("'", '"', 0), env=environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    ended = await finish(process)
    assert (ended.stdout, ended.stderr) == ("x" * 10, "")


async def test_version_is_printed() -> None:
    from kasparro import __version__

    assert (await kasparro("--version")).stdout == f"kasparro {__version__}\n"
