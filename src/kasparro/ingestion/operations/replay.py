"""Replay: stored payloads through today's mapping, first as a plan that touches nothing, then batch by batch."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import NotFoundError, PlanOutdatedError
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.replay_findings import Findings, Judged
from kasparro.ingestion.replay_source import ReplaySource, records_of
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.batches import RunStamp
from kasparro.schemas.configuration import RejectLimit
from kasparro.services import replay_plans, run_pages, runs, sources
from kasparro.services.replay_plans import ReplayPlan, Standing
from kasparro.services.sources import SourceInfo
from kasparro.services.stored_pages import StoredPage, Wanted, fields_of, read_pages

_ANY_SHARE: Final = RejectLimit(share=1.0)
"""The plan has shown how many are rejected."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records, by when their payload was fetched (`until` excluded) and by which run."""

    since: datetime | None = None
    until: datetime | None = None
    run_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For the plan's row."""
        return {
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "run_id": self.run_id,
        }


async def plan(
    connection: Connection, job: SourceJob, chosen: Chosen, *, advanced: Callable[[int], None] = lambda _: None
) -> ReplayPlan:
    """Find what a replay would do, in one snapshot and without a lock, and keep it as a plan.

    `advanced` hears how many records have been judged. Raises NotFoundError for a source that was never run, or a run
    that is none of it; IdentityChangedError.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        source = await sources.get(connection, job.source.name)
        await sources.require_identity(connection, source, source_type=job.source.type, identity=job.identity)
        if chosen.run_id is not None and (await run_pages.find(connection, chosen.run_id))["source"] != source.name:
            raise NotFoundError(
                f"run {chosen.run_id}: it is none of source {source.name}", hint="see `kasparro runs list`"
            )
        stood = await replay_plans.standing(connection, source.id)
        findings = Findings(await replay_plans.known_mapping(connection, job.mapping_hash))
        await _judge_all(connection, job, source, chosen, findings, advanced)
    async with connection.transaction():
        version = await runs.mapping_version(connection, job.mapping_hash, job.mapping_text)
        number = await replay_plans.insert(
            connection, source.id, version, stood=stood, findings={**findings.as_json(), "differs": findings.differs},
            selection={**chosen.as_json(), "config_hash": job.config_hash},
        )  # fmt: skip
    return await replay_plans.find(connection, number)


async def preview(
    connection: Connection, job: SourceJob, *, advanced: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """What a plan would say, under a mapping that may never be used: nothing is kept. Raises as `plan` does."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        source = await sources.get(connection, job.source.name)
        await sources.require_identity(connection, source, source_type=job.source.type, identity=job.identity)
        findings = Findings(await replay_plans.known_mapping(connection, job.mapping_hash))
        await _judge_all(connection, job, source, Chosen(), findings, advanced)
    return {**findings.as_json(), "differs": findings.differs}


def replay_job(job: SourceJob, options: ConnectionOptions, planned: ReplayPlan) -> SourceJob:
    """The job that reads what the plan has read, and is refused for no share of rejects."""
    wanted = Wanted(planned.source_id, planned.source_type, planned.since, planned.until, planned.run_id)
    return replace(job, source=ReplaySource(job.source, options, wanted), reject_limit=_ANY_SHARE)


class Replay:
    """Implements `Operation`: a plan that is applied by a run under this configuration."""

    def __init__(self, planned: ReplayPlan, config_hash: str) -> None:
        self._plan = planned
        self._config_hash = config_hash
        self._begun = False

    @property
    def name(self) -> Literal["replay"]:
        return "replay"

    @property
    def scope(self) -> str:
        return self._plan.scope

    async def begin(self, connection: Connection, source_id: int, mapping_version: int) -> None:
        """Raises PlanOutdatedError where the plan is not what would happen now."""
        planned = await replay_plans.find(connection, self._plan.id)
        if planned.state == "applied" and not self._begun:  # else the answer to our own last commit was lost
            raise PlanOutdatedError(f"{self._named}: it is applied already", hint=self._hint)
        if planned.mapping_version != mapping_version:
            raise PlanOutdatedError(f"{self._named}: the mapping has changed since", hint=self._hint)
        if planned.config_hash != self._config_hash:
            raise PlanOutdatedError(f"{self._named}: the source's configuration has changed since", hint=self._hint)
        now = await replay_plans.standing(connection, source_id, but_for=self.scope)
        if now != planned.standing:
            raise PlanOutdatedError(f"{self._named}: {_change(planned.standing, now)}", hint=self._hint)
        await replay_plans.begin(connection, self._plan.id)
        self._begun = True

    async def finish(self, connection: Connection, stamp: RunStamp) -> None:
        """Mark the plan as applied."""
        del stamp
        await replay_plans.finish(connection, self._plan.id)

    @property
    def _named(self) -> str:
        return f"source {self._plan.source}: plan {self._plan.id} cannot be applied"

    @property
    def _hint(self) -> str:
        return f"plan again: `kasparro replay plan {self._plan.source}`"


def _change(planned: Standing, now: Standing) -> str:
    if now.digest != planned.digest:
        return "the source's records have changed since"
    return f"runs have written since ({now.writes - planned.writes:,} rows), though records are the same"


async def _judge_all(
    connection: Connection,
    job: SourceJob,
    source: SourceInfo,
    chosen: Chosen,
    findings: Findings,
    advanced: Callable[[int], None],
) -> None:
    wanted = Wanted(source.id, source.type, chosen.since, chosen.until, chosen.run_id)
    limits = BatchLimits()
    pages = read_pages(connection, wanted, after=0, records=limits.records, size_bytes=limits.size_bytes)
    async with aclosing(pages) as items:
        async for page in items:
            judged = await asyncio.to_thread(_judge, job, page, findings)
            if judged.changed:
                ids = [page.records.ids[place] for place in judged.changed]
                before = await fields_of(connection, ids)
                await asyncio.to_thread(findings.compare, judged, before)
            advanced(findings.records)


def _judge(job: SourceJob, page: StoredPage, findings: Findings) -> Judged:
    """CPU work, for a thread."""
    return findings.judge(page, job.transformer.transform(records_of(page, job.source.type), 1))
