"""What people and programs are shown."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from kasparro.cli import progress
from kasparro.cli.output import Output, Result, Table, raw_text, shown
from kasparro.cli.progress import step
from kasparro.core.errors import SourceError

EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1234567, "1,234,567"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, EAST), "2026-01-02 01:04:05Z"),
        (["a", 1000, None], "a, 1,000, "),
        ({"a": Decimal("1.0")}, '{"a": "1.0"}'),
        (Path("/x"), "/x"),
    ],
)
def test_values_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_json_keeps_exact_decimals_and_utc_times(capsys: pytest.CaptureFixture[str]) -> None:
    data = {
        "decimal": Decimal("1E+2"),
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=EAST),
        "bytes": b"\x01\xff",
        "path": Path("/x"),
        "id": UUID(int=1),
        "names": {"b", "a"},
        "text": "ä",
    }
    Output(json=True).emit(Result(data))
    assert json.loads(capsys.readouterr().out) == {
        "decimal": "100",
        "time": "2026-01-02T01:04:05Z",
        "bytes": "01ff",
        "path": "/x",
        "id": "00000000-0000-0000-0000-000000000001",
        "names": ["a", "b"],
        "text": "ä",
    }


def test_a_list_stands_under_data(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).emit(Result([1, 2]))
    assert json.loads(capsys.readouterr().out) == {"data": [1, 2]}


def test_a_table_for_a_program_has_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    Output().emit(Result([], [Table(("name", "much"), [("x" * 300, 1), ("[red]y[/]", 20000)], right=("much",))]))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["name", "much"]
    assert lines[2].split() == ["x" * 300, "1"]
    assert lines[3].split() == ["[red]y[/]", "20,000"]
    assert len(lines) == 4


def test_long_cells_widen_their_own_line_alone(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "y" * 3000, 1), ("long name", "z", 20000), ("", "two\nlines", None)]
    Output().emit(Result([], [Table(("field", "value", "n"), rows, title="t", right=("n",))]))
    assert capsys.readouterr().out.splitlines() == [
        "t",
        "field       value" + " " * 35 + "        n",
        "─" * (9 + 3 + 40 + 3 + 6),
        "a           " + "y" * 3000 + "        1",
        "long name   z" + " " * 39 + "   20,000",
        "            two",
        "  lines",
    ]


def test_without_human_parts_fields_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Output().emit(Result({"revision": "0001", "applied": []}))
    assert [line.split() for line in capsys.readouterr().out.splitlines()[2:]] == [["revision", "0001"], ["applied"]]


def test_notes_go_to_standard_error_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    Output().note("one")
    Output(quiet=True).note("two")
    assert capsys.readouterr() == ("", "one\n")


def test_complaints_are_masked_and_leave_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).complain(SourceError("https://u:p@h/ is gone", hint="see https://u:p@h/"))
    assert capsys.readouterr() == ("", "kasparro: https://***@h/ is gone\n  see https://***@h/\n")


def test_a_step_without_a_terminal_is_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.0, 101.0, 106.0, 107.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with step(Output(), "flights", total=3000) as shown_step:
        shown_step.advance(1000)
        shown_step.advance(2000, detail="7 rejected")
    assert capsys.readouterr().err.splitlines() == [
        "flights ...",
        "flights: 2,000 of 3,000 records 7 rejected",
        "flights: 2,000 of 3,000 records, done in 7.0 s",
    ]


def test_a_step_that_fails_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with step(Output(), "flights") as shown_step:
            shown_step.advance(5)
            raise SourceError("gone")

    with pytest.raises(SourceError):
        fail()
    assert capsys.readouterr().err.splitlines() == ["flights ...", "flights: failed after 5 records"]


def test_a_step_that_counted_nothing_fails_without_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError), step(Output(), "migrations", unit=None):
        raise SourceError("gone")
    assert capsys.readouterr().err.splitlines() == ["migrations ...", "migrations: failed"]


def test_a_step_whose_work_ended_early_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    with step(Output(), "flights") as shown_step:
        shown_step.advance(5)
        shown_step.end_early("interrupted")
    with pytest.raises(KeyboardInterrupt), step(Output(), "trades"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines() == [
        "flights ...", "flights: interrupted after 5 records", "trades ...", "trades: stopped",
    ]  # fmt: skip


@pytest.mark.parametrize(("early", "expected"), [(None, "✓ flights"), ("failed", "flights: failed")])
def test_a_bar_says_how_its_step_ended(early: str | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with step(Output(), "flights") as shown_step:
        if early:
            shown_step.end_early(early)
    assert expected in terminal.getvalue()
    assert ("✓" in terminal.getvalue()) is (early is None)


def test_a_quiet_step_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with step(Output(quiet=True), "flights") as shown_step:
        shown_step.advance(5)
    assert capsys.readouterr() == ("", "")


def test_times_are_shown_in_utc() -> None:
    assert shown(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01 00:00:00Z"


def test_numbers_that_name_something_can_be_typed_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Quantities are grouped, names are not."""
    Output().emit(Result({"id": 12345, "raw_id": 67890, "fetched": 12345}))
    Output().emit(Result([], [Table(("id", "last run", "pass_id", "inserted"), [(1234, 2345, 3456, 4567)])]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:5] == [["id", "12345"], ["raw_id", "67890"], ["fetched", "12,345"]]
    assert lines[-1] == ["1234", "2345", "3456", "4,567"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("a, b", "a, b"),
        (1517363399650, "1517363399650"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        ([Decimal("-122.1970"), None, "ä"], '[-122.1970,null,"ä"]'),
        ({"b": {"n": 1}, "a": []}, '{"a":[],"b":{"n":1}}'),
        (["\x00"], '["\\u0000"]'),
    ],
)
def test_values_of_a_payload_are_shown_as_they_came(value: object, text: str) -> None:
    assert raw_text(value) == text
