"""Body of `/runs/compare`: two runs side by side. Numbers in payloads are written as they came."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from kasparro.schemas.pages.base import Body, Page
from kasparro.schemas.pages.runs import RunState

RecordKind = Literal["new", "changed", "deleted", "gone", "remapped", "unchanged"]
RecordChoice = Literal[RecordKind, "differing"]
CauseName = Literal["source", "mapping", "configuration", "code"]


class ComparedRun(Body):
    """A run, and the reading (pass) that it carried, alone or with runs that resumed one another."""

    id: int
    state: RunState
    trigger: str
    operation: str | None
    pass_id: int
    runs: list[int] = Field(description="All runs of the reading, in their order; what follows is summed over them.")
    started_at: datetime
    finished_at: datetime | None
    coverage: dict[str, str | None] | None = Field(
        description="By partition how much was read: `full`, `window` (only what was added), `none` (it was as it was, "
        "and not read); null for a partition that was not finished."
    )
    config_hash: str | None
    mapping_version: int | None
    mapping_hash: str | None
    code_version: str | None
    digest: str | None = Field(description="Of the source's live records at its end.")


class Measure(Body):
    """A number of both."""

    name: str
    base: int | float | None
    target: int | float | None
    delta: int | float | None
    relative: float | None = Field(description="`delta` as a share of `base`; null where that is 0.")


class Cause(Body):
    """Something that may be the reason why two runs differ."""

    what: CauseName
    changed: bool | None = Field(description="Null where it cannot be told.")
    base: str | None = Field(description="Its hash; of the source, the digest of its live records.")
    target: str | None
    detail: str


class MappingChange(Body):
    """A place at which the mappings differ."""

    pointer: str = Field(description="A JSON Pointer (RFC 6901), such as `/map/title`.")
    change: Literal["added", "removed", "changed"]
    before: Any
    after: Any


class DriftBetween(Body):
    """A finding about the shape of payloads that was first made, or closed, between the two."""

    id: int
    run_id: int
    kind: str
    field: str
    share: float
    confidence: float
    mapped: bool
    policy: str
    state: str
    created_at: datetime
    closed_at: datetime | None


class RecordTotals(Body):
    """How many records are what. Null where it cannot be told: `notes` say why."""

    new: int | None = Field(description="Read by the target, and not by the base.")
    changed: int | None = Field(description="In both, with another payload.")
    deleted: int | None = Field(description="Of the same, those that the source has deleted by a tombstone.")
    gone: int | None = Field(description="Read by the base, and not by the target; both must be complete readings.")
    remapped: int | None = Field(
        description="In both, with the same payload, of which the mapping has made another record, or which was "
        "deleted in between and came back under another mapping."
    )
    unchanged: int | None = Field(
        description="In both, and nothing of that; null where it is not known which the mapping has made others."
    )


class FieldChanged(Body):
    """A place in payloads, and in how many of the changed records that were looked at it differs."""

    pointer: str
    records: int
    feeds: list[str] = Field(description="Fields of the record that the mapping makes of it.")


class RecordChange(Body):
    """A place at which a record's payloads differ."""

    pointer: str = Field(description="A JSON Pointer (RFC 6901), such as `/quotes/0/price`.")
    change: Literal["added", "removed", "changed"]
    before: Any
    after: Any
    feeds: list[str]


class ComparedRecord(Body):
    """A record that differs."""

    kind: RecordKind
    id: int = Field(description="Of `/data/{id}`.")
    key: str
    returned: bool = Field(description="Of a new one: it was known before the base, which did not have it.")
    deletion: str | None = Field(description="Why it is deleted now, if it is.")
    before_raw_id: int | None = Field(description="Of `/raw/{id}`: the payload that it had when the base ended.")
    after_raw_id: int | None = Field(description="The same for the target.")
    changes: list[RecordChange] | None = Field(
        description="Of a changed one; null where one of the payloads was dropped by retention."
    )
    more_changes: bool = Field(description="There are more than those.")


class ComparedRecords(Body):
    """Records, told from what the batches of both readings have seen and from the payloads that were stored."""

    totals: RecordTotals
    fields: list[FieldChanged] = Field(description="In which fields changed records differ, the most frequent first.")
    fields_of: int = Field(description="How many changed records were looked at for that.")
    rewritten: int = Field(
        description="How often records were written again with the payload that they had, by all runs after the base "
        "up to the target; those that had been deleted and came back are counted as well."
    )
    listed: list[RecordKind] = Field(description="Which kinds this list and its pages hold.")
    items: list[ComparedRecord]


class RunComparison(Body):
    """Two runs of one source side by side; `base` is the one that ended earlier."""

    verdict: str
    differs: bool
    source: str
    source_type: str
    swapped: bool = Field(description="`base` was named as the target: it ended earlier.")
    base: ComparedRun
    target: ComparedRun
    causes: list[Cause]
    counters: list[Measure]
    durations: list[Measure]
    mapping_changes: list[MappingChange]
    drift: list[DriftBetween]
    more_drift: bool
    records: ComparedRecords
    notes: list[str] = Field(description="What cannot be told, and why.")


class ComparisonAnswer(Body):
    """Two runs side by side, with a page of the records that differ."""

    data: RunComparison
    page: Page
    request_id: str
    api_latency_ms: float
