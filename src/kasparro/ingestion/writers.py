"""Which store a run's lanes write through."""

from kasparro.core.database import Connection
from kasparro.ingestion.coordinator import RunPlan
from kasparro.ingestion.replay_store import ReplayLaneStore
from kasparro.ingestion.store import LaneStore, PostgresLaneStore
from kasparro.ingestion.stored_store import StoredLaneStore


def lane_store(connection: Connection, plan: RunPlan) -> LaneStore:
    """One lane's store over its connection."""
    if plan.stamp.operation == "replay":
        return ReplayLaneStore(connection, plan.stamp, first=False)
    if plan.stamp.from_raw:
        return StoredLaneStore(connection, plan.stamp, first=False)
    if plan.stamp.operation == "backfill":
        from kasparro.ingestion.operations.backfill import chunk_store

        return chunk_store(connection, plan.stamp, plan.operation)
    return PostgresLaneStore(connection, plan.stamp, first=plan.first_load)
