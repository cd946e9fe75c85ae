"""What became of the records: the counters of a batch or a run, and the two equations that they must satisfy."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from kasparro.core.errors import ConservationError


@dataclass(frozen=True, slots=True)
class Counters:
    """Numbers of records (and of raw rows) over a batch or a run.

    Three places count: the reader (`fetched`), transform (`filtered`, `rejected`), and the database's classification
    of the staged rows (the others); `raw_written` is what the inserts reported.
    """

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    updated_payload: int = 0
    """Updates whose payload changed (the others only got a new mapping, or came back from deletion)."""
    unchanged: int = 0
    duplicate: int = 0
    duplicate_payload: int = 0
    """Duplicates whose payload differs from their predecessor's."""
    rejected: int = 0
    rejected_new: int = 0
    """Distinct rejected payloads that were never seen before."""
    filtered: int = 0
    deleted: int = 0
    raw_written: int = 0

    def __add__(self, other: Self) -> "Counters":
        return Counters(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})

    def as_dict(self) -> dict[str, int]:
        """Counter name to number."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Any) -> "Counters":
        """From a database row that has a column for each counter."""
        return cls(**{item.name: int(row[item.name]) for item in fields(cls)})

    def outcomes(self) -> dict[str, int]:
        """The right-hand side of the first equation: what became of the fetched records."""
        names = ("inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted")
        return {name: getattr(self, name) for name in names}

    def require_conservation(self, where: str, *, from_raw: bool = False) -> None:
        """Raise ConservationError, naming `where` and by how much, unless both equations hold.

        `from_raw`: what was judged are raw rows that stand already, so that none may have been written.
        """
        self._require_records(where)
        self._require_raw_rows(where, from_raw=from_raw)

    def _require_records(self, where: str) -> None:
        accounted = sum(self.outcomes().values())
        if self.fetched != accounted:
            parts = ", ".join(f"{name} {number}" for name, number in self.outcomes().items())
            raise ConservationError(
                f"{where}: {self.fetched} records fetched, {accounted} accounted for "
                f"(off by {accounted - self.fetched:+d}): {parts}"
            )

    def _require_raw_rows(self, where: str, *, from_raw: bool) -> None:
        told = self.inserted + self.updated_payload + self.duplicate_payload + self.deleted + self.rejected_new
        expected = 0 if from_raw else told
        if self.raw_written != expected:
            raise ConservationError(
                f"{where}: {self.raw_written} raw rows written, {expected} expected "
                f"(off by {self.raw_written - expected:+d})"
            )
