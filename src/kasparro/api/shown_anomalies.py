"""What is unusual about a run or a source, as the API shows it."""

from dataclasses import asdict

from kasparro.schemas.pages import anomalies as pages
from kasparro.services.anomalies import FoundAnomaly, Overdue


def shown_anomaly(found: FoundAnomaly) -> pages.Anomaly:
    """An anomaly for a body."""
    return pages.Anomaly(
        **{name: value for name, value in asdict(found).items() if name not in {"source", "created_at"}}
    )


def shown_overdue(found: Overdue) -> pages.Overdue:
    """For a body: that a source should have had another success by now."""
    return pages.Overdue(**{name: value for name, value in asdict(found).items() if name != "source"})
