"""What a log line looks like: fields, levels of single modules, a terminal, and values that try to forge a line."""

import io
import json
import logging
import threading
from asyncio import to_thread
from collections.abc import Callable, Iterator
from contextvars import copy_context

import pytest

from kasparro.core.errors import ConfigurationError
from kasparro.core.log_levels import levels_of, set_levels
from kasparro.core.log_lines import direct_lines_to, write_line
from kasparro.core.logging import configure_logging, get_logger, log_context
from kasparro.core.settings import load_settings

HOSTILE = 'a\r\n{"level": "error"}\x1b[31m\x9b\x7f\u2028\u2029\u202e\u200b\x00\udcff\U000e0041'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


Configured = Callable[..., io.StringIO]


@pytest.fixture
def configured() -> Iterator[Configured]:
    """Configures the logging, and gives what it writes to; everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("kasparro")
    handlers, levels = list(root.handlers), (root.level, ours.level)

    def configure(level: str = "INFO", *, terminal: bool = False, levels: str | None = None) -> io.StringIO:
        stream = Terminal() if terminal else io.StringIO()
        configure_logging(level, service="test", stream=stream, levels=levels_of(levels))
        return stream

    for handler in handlers:
        root.removeHandler(handler)
    yield configure
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    set_levels({})
    direct_lines_to(None, stamp={})


def test_a_module_has_a_level_of_its_own_and_so_has_what_is_below_it(configured: Configured) -> None:
    stream = configured("WARNING", levels="kasparro.ingestion.http=debug, kasparro.api=ERROR,granian=INFO")
    get_logger("kasparro.ingestion.http.reporting").debug("a")
    get_logger("kasparro.ingestion.run").info("b")
    get_logger("kasparro.api.errors").warning("c")
    logging.getLogger("granian.access").info("d")
    logging.getLogger("asyncio").info("e")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["a", "log.granian.access"]


def test_levels_of_modules_are_forgotten_with_the_next_configuration(configured: Configured) -> None:
    configured(levels="kasparro.ingestion.http=DEBUG")
    stream = configured("WARNING")
    get_logger("kasparro.ingestion.http.reporting").info("a")
    assert stream.getvalue() == ""


def test_lines_past_the_chain_obey_their_modules_level(configured: Configured) -> None:
    stream = configured("INFO", levels="kasparro.api=WARNING")
    assert write_line("kasparro.api.middleware", "http.request", "GET /x", {})
    assert write_line("kasparro.core.serving", "http.request", "GET /y", {})
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["GET /y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kasparro.ingestion.htp=DEBUG", "no module 'kasparro.ingestion.htp'; did you mean kasparro.ingestion.http?"),
        ("granien=DEBUG", "no module 'granien'; did you mean granian?"),
        ("x=DEBUG", "no module 'x'; name one such as kasparro.ingestion.http"),
        ("kasparro.api=DEBG", "kasparro.api=DEBG: no level of this name; did you mean DEBUG?"),
        ("kasparro.api=7", "no level of this name; give one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("kasparro.api", "write MODULE=LEVEL, such as kasparro.ingestion.http=DEBUG"),
    ],
)
def test_what_is_no_module_or_level_is_told_with_the_nearest_that_is(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"KASPARRO_LOG_LEVELS": text})
    assert message in caught.value.message
    assert caught.value.message.startswith("environment: KASPARRO_LOG_LEVELS: ")


@pytest.mark.parametrize("terminal", [False, True])
def test_no_value_forges_a_line_or_paints_a_terminal(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = configured(terminal=terminal)
    log = get_logger("kasparro.x")
    log.info("x", message=HOSTILE, field=HOSTILE, nested={HOSTILE: [HOSTILE]}, **{HOSTILE: 1})
    log.bind(bound=HOSTILE).info(HOSTILE)
    logging.getLogger("library").warning("%s", HOSTILE)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert not terminal or not any(line.startswith("{") for line in lines)


def test_what_is_escaped_means_the_same(configured: Configured) -> None:
    stream = configured()
    get_logger("kasparro.x").info("x", message=HOSTILE)
    write_line("kasparro.x", "x", HOSTILE.replace("\udcff", ""), {})
    first, second = (json.loads(line)["message"] for line in stream.getvalue().splitlines())
    assert (first, second) == (HOSTILE, HOSTILE.replace("\udcff", ""))


def test_a_stack_on_a_terminal_stands_below_its_line_and_is_set_in(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = configured(terminal=True)
    try:
        raise ValueError("one\n12:00:00 [info] forged\x1b[2J")
    except ValueError as error:
        get_logger("kasparro.x").exception("x.failed", message="no", exc_info=error)
    first, *stack = stream.getvalue().rstrip("\n").split("\n")
    assert "[error    ] x.failed             no" in first
    assert stack[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in stack)


def test_a_terminal_gets_colours_unless_they_are_not_wanted(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = configured(terminal=True)
    get_logger("kasparro.x").info("x")
    assert "\x1b[" in stream.getvalue()


async def test_context_is_on_every_line_also_of_libraries_and_from_threads(configured: Configured) -> None:
    stream = configured()
    with log_context(run_id=7, source="flights"):
        get_logger("kasparro.x").info("own")
        logging.getLogger("library").warning("foreign")
        await to_thread(get_logger("kasparro.y").info, "thread")
        thread = threading.Thread(target=copy_context().run, args=(get_logger("kasparro.y").info, "other"))
        thread.start()
        thread.join()
    get_logger("kasparro.x").info("after")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line.get("run_id"), line.get("source")) for line in lines] == [(7, "flights")] * 4 + [(None, None)]


def test_every_line_has_a_message(configured: Configured) -> None:
    stream = configured()
    get_logger("kasparro.x").info("x.happened", records=1)
    assert json.loads(stream.getvalue())["message"] == "x.happened"
