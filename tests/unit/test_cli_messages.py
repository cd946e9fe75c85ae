"""What commands say where something is missing or does not answer, and how much of a log they show to people."""

import io
import logging
import socket
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from kasparro.cli import database
from kasparro.cli.database import connect_briefly
from kasparro.cli.frame import Context, _set_up_logging
from kasparro.cli.output import Output
from kasparro.core.database import ConnectionOptions
from kasparro.core.embedded.layout import layout_for
from kasparro.core.embedded.server import _last_words
from kasparro.core.errors import DatabaseUnreachableError, InvalidConfigurationError
from kasparro.core.settings import load_settings
from kasparro.schemas.configuration import parse_configuration

SOURCE = "sources: [{name: a, type: csv, path: '${FOLDER_OF_NOBODY}/a.csv', key: id, map: {title: id}%s}]"


class Terminal(io.StringIO):
    """A standard error that people look at."""

    def isatty(self) -> bool:
        return True


def test_a_missing_variable_is_told_with_where_to_set_it() -> None:
    with pytest.raises(InvalidConfigurationError, match="FOLDER_OF_NOBODY is not set") as caught:
        parse_configuration(SOURCE % "", {})
    assert caught.value.hint == "set it in the environment, or in .env by a line NAME=value"


def test_other_mistakes_in_the_configuration_have_no_such_hint() -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(SOURCE % ", delimeter: x", {"FOLDER_OF_NOBODY": "data"})
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("environ", "service", "level"),
    [
        ({}, None, logging.WARNING),
        ({"LOG_LEVEL": "INFO"}, None, logging.INFO),
        ({"LOG_LEVEL": "ERROR"}, None, logging.ERROR),
        ({}, "serve", logging.INFO),
    ],
)
def test_on_a_terminal_progress_is_not_told_a_second_time_by_the_log(
    environ: dict[str, str], service: str | None, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    _set_up_logging(Context(load_settings(environ), Output()), service)
    assert logging.getLogger("kasparro").level == level


def test_without_a_terminal_the_log_is_whole() -> None:
    _set_up_logging(Context(load_settings({}), Output()), None)
    assert logging.getLogger("kasparro").level == logging.INFO


async def test_a_database_that_does_not_answer_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOOK_TIMEOUT_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / ".s.PGSQL.5432"))
        silent.listen()
        options = ConnectionOptions((str(tmp_path),), (5432,), "u", "d", SecretStr("p"), connect_timeout_seconds=60)
        with pytest.raises(DatabaseUnreachableError, match="no answer in time"):
            await connect_briefly(options, "status")


def test_the_absence_of_a_file_that_nobody_wrote_is_no_word_of_the_server(tmp_path: Path) -> None:
    layout = layout_for(tmp_path)
    layout.logs.mkdir(parents=True)
    lines = (
        "2026-11-22 10:00:00 UTC [7] LOG:  starting PostgreSQL 18.6",
        '2026-11-22 10:00:00 UTC [7] LOG:  skipping missing configuration file "/x/custom.conf"',
    )
    (layout.logs / "start.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert _last_words(layout) == ": starting PostgreSQL 18.6"
    (layout.logs / "start.log").write_text(f"{lines[1]}\n", encoding="utf-8")
    assert _last_words(layout) == ""
