"""Runs that are far from what their source's own history lets expect: judged as they are closed, kept, and shown."""

from kasparro.services.anomalies.stored import FoundAnomaly, current, of_run

__all__ = ["FoundAnomaly", "current", "of_run"]
