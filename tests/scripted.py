"""A source that reads from a list: the whole contract, and nothing that a file or a server would add."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

from kasparro.core.canonical import hash_text
from kasparro.core.errors import KasparroError
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.source import Batch, Defect, FinalBatch, Payload, RecordRejected, SourceRecord, Start
from kasparro.ingestion.transform import Transformer
from kasparro.schemas.configuration import RejectLimit

Records = Sequence[Payload]
LENIENT = RejectLimit(share=1.0, min_records=1_000_000)


class ScriptedSource:
    """Partitions by name, each a list of payloads; `before` is called before each batch, with its first position."""

    def __init__(
        self,
        partitions: Mapping[str, Records],
        *,
        name: str = "scripted",
        batch_size: int = 3,
        before: Callable[[str, int], None] = lambda _partition, _position: None,
        expired: KasparroError | None = None,
    ) -> None:
        self.records = dict(partitions)
        self.batch_size = batch_size
        self.before = before
        self.expired = expired
        self.starts: list[Start] = []
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> Literal["api", "csv", "rss"]:
        return "csv"

    async def partitions(self) -> list[str]:
        return sorted(self.records)

    async def read(self, partition: str, start: Start) -> AsyncIterator[Batch | FinalBatch]:
        self.starts.append(start)
        if start.cursor is not None and self.expired is not None:
            raise self.expired
        records = self.records[partition]
        position = int(start.cursor["position"]) if start.cursor else 0
        while position < len(records):
            self.before(partition, position)
            chunk = records[position : position + self.batch_size]
            rows = [SourceRecord(row, f"{partition}:{position + n + 1}") for n, row in enumerate(chunk)]
            position += len(chunk)
            yield Batch(rows, {"position": position}, 10 * len(chunk))
        self.before(partition, position)
        yield FinalBatch({"read": position}, "full")

    def normalize(self, payload: Payload) -> dict[str, object]:
        if payload.get("bad"):
            raise RecordRejected(Defect("bad", "says so itself", "bad"))
        return {"record_key": key_of(payload), "title": payload.get("title"), "value": payload.get("value")}


def key_of(payload: Payload) -> str:
    """The key; RecordRejected where there is none."""
    if payload.get("key") is None:
        raise RecordRejected(Defect("key_missing", "no key", "key"))
    return str(payload["key"])


def job_of(source: ScriptedSource, *, mapping: str = "1", limit: RejectLimit = LENIENT, **changes: Any) -> SourceJob:
    """A job over the source; another `mapping` is another mapping version."""
    transformer = Transformer(
        source.normalize,
        key_of,
        lambda payload: not payload.get("skip"),
        is_tombstone=lambda payload: bool(payload.get("deleted")),
    )
    values: dict[str, Any] = {
        "source": source,
        "transformer": transformer,
        "reject_limit": limit,
        "identity": {"type": "csv", "key": ["key"]},
        "config_hash": f"configuration {mapping}",
        "mapping_hash": hash_text(mapping).hex(),
        "mapping_text": f'{{"mapping": "{mapping}"}}',
    }
    return SourceJob(**{**values, **changes})


def row(key: str | None, title: str = "a", **more: Any) -> dict[str, Any]:
    """A payload; `bad=True` is rejected, `skip=True` filtered, `deleted=True` a tombstone."""
    return {"key": key, "title": title, **more}
