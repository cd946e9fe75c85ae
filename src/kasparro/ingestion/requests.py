"""How a run was asked for, and what a claimed run is going to do."""

from collections import Counter
from dataclasses import dataclass, field

from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operation import Operation
from kasparro.ingestion.passes import PartitionPlan
from kasparro.ingestion.snapshot import Snapshot
from kasparro.schemas.batches import RunStamp
from kasparro.schemas.quality import Check
from kasparro.services import checkpoints
from kasparro.services.run_queue import Origin
from kasparro.services.runs import Newest


@dataclass(frozen=True, slots=True)
class Request:
    """How a run was asked for. `abandon`: begin a new pass although one is open; `queued_run_id`: its row is there;
    `confirm`: what a complete reading lacks is gone, however much it is."""

    trigger: str = "cli"
    lanes: int = 1
    full_refresh: bool = False
    abandon: bool = False
    confirm: bool = False
    queued_run_id: int | None = None
    unless_newer_than: Newest | None = None
    """What had begun when the run was decided on: where more has, somebody else was faster, and there is none."""
    operation: Operation | None = None
    """What to do other than reading the source on."""
    origin: Origin | None = None
    """Whose wish it is, for log and traces."""

    @property
    def scope(self) -> str:
        """Of the run's checkpoints."""
        return checkpoints.READING if self.operation is None else self.operation.scope


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a claimed run is going to do."""

    stamp: RunStamp
    partitions: list[PartitionPlan]
    first_load: bool
    resumes_run_id: int | None
    partitions_in_all: int
    """Of the pass, those already finished included."""
    operation: Operation | None = None
    snapshot: Snapshot | None = None
    """How to compare at the end, where a complete reading holds all."""
    checks: tuple[Check, ...] = ()
    """What must hold of the source's records at its end."""
    reject_codes: Counter[str] = field(default_factory=Counter[str], compare=False)
    """What its batches have rejected, by code, as they are committed."""


def snapshot_of(job: SourceJob, request: Request, partitions: list[str]) -> Snapshot | None:
    """How to compare at the end of the run; None where no reading of the source is known to hold all."""
    if job.deletes is None or not job.deletes.snapshot or request.operation is not None:
        return None
    return Snapshot(job.source.name, job.deletes.max_share, request.confirm, frozenset(partitions))
