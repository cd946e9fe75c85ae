"""The tables, as SQLModel classes: the source of migrations and of the documentation, nothing else.

Hot paths use hand-written SQL in `services/`, and nothing on the run path imports this package (0.8 s of start-up).
"""

from sqlmodel import SQLModel

from kasparro.schemas.tables import access, drift, operations, raw, records, runs, verdicts

__all__ = ["access", "drift", "metadata", "operations", "raw", "records", "runs", "verdicts"]

metadata = SQLModel.metadata
