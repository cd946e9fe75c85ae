"""Runs that are far from what their source's own history lets expect: judged as they are closed, kept, and shown."""

from kasparro.services.anomalies.stored import FoundAnomaly, Overdue, current, judge_closed, of_run, overdue

__all__ = ["FoundAnomaly", "Overdue", "current", "judge_closed", "of_run", "overdue"]
