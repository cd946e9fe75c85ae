"""What commands say of a run that is unusual."""

from datetime import UTC, datetime

from kasparro.cli.loading import outcome_as_data
from kasparro.cli.unusual import anomaly_lines
from kasparro.ingestion.outcomes import RunOutcome
from kasparro.services.anomalies import FoundAnomaly

WORDS = "fetched 12 records, 3,500 to 4,600 were usual: about 1/333"
FOUND = FoundAnomaly(7, "quakes", "volume", 3_467.0, 4_638.5, 12.0, 97.25, WORDS, datetime(2026, 1, 5, tzinfo=UTC))


def test_anomalies_of_a_run_are_in_its_document() -> None:
    data = outcome_as_data(RunOutcome("quakes", "succeeded", None, anomalies=(FOUND,)))
    assert data["anomalies"] == [
        {
            "measure": "volume", "expected_low": 3_467.0, "expected_high": 4_638.5, "seen": 12.0, "score": 97.25,
            "message": WORDS,
        }
    ]  # fmt: skip
    assert outcome_as_data(RunOutcome("quakes", "succeeded", None))["anomalies"] == []


def test_people_are_told_one_line_each() -> None:
    assert anomaly_lines([FOUND, FOUND]) == [f"unusual: {WORDS}"] * 2
