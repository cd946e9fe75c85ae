"""What a run does other than reading its source on: the contract of requeue, replay and backfill.

Such a run is claimed, fenced, counted and resumed like any other, over checkpoints of its own: it may mark a dead run
interrupted, but it never goes on with that run's pass, nor moves what stands for a complete one.
"""

from typing import Protocol

from kasparro.core.database import Connection
from kasparro.schemas.batches import OperationName, RunStamp


class Operation(Protocol):
    """What is to be done, as it was asked for."""

    @property
    def name(self) -> OperationName: ...

    @property
    def scope(self) -> str:
        """Of its checkpoints, such as `replay:7`: a run with the same scope goes on where an earlier one ended."""
        ...

    async def begin(self, connection: Connection, source_id: int, mapping_version: int) -> None:
        """Raise what stands against it; in the claim's transaction, under the source's lock, dead runs folded."""
        ...

    async def finish(self, connection: Connection, stamp: RunStamp) -> None:
        """Record that all of it is done; in the final transaction, before the run is closed."""
        ...
