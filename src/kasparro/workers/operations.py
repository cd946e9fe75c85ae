"""Queued runs that do other than read their source: what was asked for, as a job and a request."""

import json

from kasparro.core.database import ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.requeue import NAME, requeue_job, requeue_request
from kasparro.services.reject_lists import RejectFilter
from kasparro.services.run_queue import QueuedRun


def queued_operation(job: SourceJob, queued: QueuedRun, options: ConnectionOptions) -> tuple[SourceJob, Request]:
    """What to run, and how. Only requeues are queued; other operations are begun by hand."""
    assert queued.operation == NAME, queued
    chosen = RejectFilter.from_json(json.loads(queued.plan or "{}").get(NAME, {}))
    request = Request(queued.trigger, queued_run_id=queued.id, origin=queued.origin)
    return requeue_job(job, chosen, options), requeue_request(chosen, request)
