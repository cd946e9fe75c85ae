"""All that the pipeline needs to know to run one source, made from its configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from kasparro.core.errors import KasparroError, SourceError
from kasparro.ingestion.checks import compile_checks
from kasparro.ingestion.drift.watch import Watched
from kasparro.ingestion.http.tally import Tally
from kasparro.ingestion.mapped_paths import alternatives, mapped_paths, read_paths, tombstone_needs, where_needs
from kasparro.ingestion.registry import Fetchers, build_source, build_transformer
from kasparro.ingestion.source import Source, SourceRecord
from kasparro.ingestion.transform import TransformedBatch, Transformer
from kasparro.schemas.alerts import AlertRules
from kasparro.schemas.configuration import (
    AnySourceConfig,
    Deletes,
    RejectLimit,
    Retention,
    Schedule,
    config_hash,
    identity,
    mapping_hash,
    mapping_text,
)
from kasparro.schemas.quality import Check


class Transforms(Protocol):
    """What the pipeline needs of a `Transformer`, so that it can be wrapped."""

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch: ...


@dataclass(frozen=True, slots=True)
class SourceJob:
    """A source with its transform, and the hashes by which a later run tells whether it may resume.

    `identity` is what makes keys; `config_hash` covers the whole configuration before secrets are filled in;
    `mapping_text` is the canonical mapping and `mapping_hash` its hash.
    """

    source: Source
    transformer: Transforms
    reject_limit: RejectLimit
    identity: dict[str, Any]
    config_hash: str
    mapping_hash: str
    mapping_text: str
    schedule: Schedule | None = None
    """When the scheduler reads it; None: at the default interval."""
    deletes: Deletes | None = None
    """How the source tells that records are deleted."""
    checks: tuple[Check, ...] = ()
    """What must hold of its records at the end of a run."""
    deadline: timedelta | None = None
    """How long a run of it may take; None: as long as a run may."""
    retention: Retention | None = None
    """How long its history is kept; None: for ever."""
    tally: Tally = field(default_factory=Tally, compare=False)
    """What its HTTP client did, until that is written."""
    alerts: AlertRules = field(default_factory=AlertRules)
    """When somebody is told of it, and who."""
    watched: Watched | None = None
    """What its payloads are compared by with what was accepted; None: by nothing."""


def build_job(
    config: AnySourceConfig, base_dir: Path, fetchers: Fetchers | None = None, tally: Tally | None = None
) -> SourceJob:
    """The job of a configured source; relative paths are relative to `base_dir`. For `fetchers` see `build_source`.

    `tally`: where what gives the fetchers counts what they do for this source.
    """
    return SourceJob(
        source=build_source(config, base_dir, fetchers),
        transformer=build_transformer(config),
        reject_limit=config.reject_limit,
        identity=identity(config),
        config_hash=config_hash(config),
        mapping_hash=mapping_hash(config),
        mapping_text=mapping_text(config),
        schedule=config.schedule,
        deletes=config.deletes,
        checks=compile_checks(config),
        deadline=config.deadline,
        retention=config.retention,
        watched=watched_by(config),
        tally=tally or Tally(),
    )


def watched_by(config: AnySourceConfig) -> Watched:
    """What a source's configuration says about drift."""
    return Watched(
        config.drift, mapped_paths(config), read_paths(config), alternatives(config),
        tombstone=tombstone_needs(config), where=where_needs(config),
    )  # fmt: skip


def for_first_load(job: SourceJob) -> SourceJob:
    """The job for a run that stores every payload."""
    if not isinstance(job.transformer, Transformer):
        return job
    return replace(job, transformer=replace(job.transformer, all_stored=True))


async def partitions_of(job: SourceJob) -> tuple[list[str], KasparroError | None]:
    """The source's partitions; a failure is kept until there is a run that can record it."""
    try:
        names = await job.source.partitions()
    except KasparroError as error:
        return [], error
    return names, None if names else SourceError(f"source {job.source.name}: there is nothing to read")
