"""Injected faults: a run is made to fail at an exact place, so that it can be proved that nothing is lost by it.

They wrap the source, the transformer and the store of a run; the pipeline knows nothing of them.
"""

from kasparro.ingestion.faults.plans import (
    KINDS,
    LANE_POINTS,
    POINTS,
    FaultPlan,
    Faults,
    parse_plans,
    refuse_in_production,
)
from kasparro.ingestion.faults.wrappers import FaultyStore, faulty_job, faulty_store

__all__ = [
    "KINDS",
    "LANE_POINTS",
    "POINTS",
    "FaultPlan",
    "Faults",
    "FaultyStore",
    "faulty_job",
    "faulty_store",
    "parse_plans",
    "refuse_in_production",
]
