"""What `kasparro status` and `kasparro up` say of a source whose last run did not end well."""

from kasparro.cli.output import Table
from kasparro.cli.status import shown_sources
from kasparro.services.health import LatestRun, SourceStatus


def source(name: str, state: str, code: str | None = None, message: str | None = None) -> SourceStatus:
    run = LatestRun(12, state, None, None, code, message, 0, 0, 0, 0)
    return SourceStatus(name, "csv", None, run, 0, 0)


def test_a_failed_source_has_its_reason_and_the_next_command_below_the_table() -> None:
    table, empty, *lines = shown_sources(
        [
            source("good", "succeeded"),
            source("trades", "failed", "source", "trades: data/trades.csv: no such file\n  or folder"),
            source("quakes", "systemic", "systemic", "x" * 161),
            SourceStatus("never", "csv", None, None, 0, 0),
        ]
    )
    assert isinstance(table, Table)
    assert (len(table.rows), empty) == (4, "")
    assert lines == [
        "trades: source: data/trades.csv: no such file or folder (`kasparro runs show 12`)",
        f"quakes: systemic: {'x' * 160}... (`kasparro runs show 12`)",
    ]


def test_nothing_stands_below_the_table_where_nothing_failed() -> None:
    assert len(shown_sources([source("good", "succeeded")])) == 1
