"""From raw records to what the store writes: judged, normalized and hashed. Pure computing, meant for a thread.

The order of judgement: what the reader knows to be wrong, what jsonb cannot hold, `where`, the mapping, the model.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kasparro.core.canonical import UnstorableError, content_hash, payload_json, record_hash, unstorable
from kasparro.ingestion.judgement import defects_of
from kasparro.ingestion.source import Defect, Payload, RecordRejected, SourceRecord
from kasparro.schemas.unified import KeyText, UnifiedRecord


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record that passed. `ordinal` counts within the pass; the JSON texts are ready for jsonb columns."""

    ordinal: int
    record_key: str
    payload_json: str
    content_hash: bytes
    locator: str
    record: UnifiedRecord
    record_hash: bytes
    attributes_json: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that did not pass, with every reason; its payload is stored all the same."""

    ordinal: int
    record_key: str | None
    payload_json: str
    content_hash: bytes
    locator: str
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class Filtered:
    """A record that `where` leaves out: counted, not kept."""

    ordinal: int
    record_key: str | None


@dataclass(frozen=True, slots=True)
class TransformedBatch:
    """What became of a reader's batch; every record is in exactly one of the three lists, in the order of ordinals."""

    fetched: int
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    filtered: list[Filtered] = field(default_factory=list[Filtered])


@dataclass(frozen=True, slots=True)
class Transformer:
    """Transforms the records of one source.

    `normalize` and `key_of` raise RecordRejected; `keep` is the source's `where` (None: every record is kept) and
    raises it too; `ignore` are paths that do not count towards the content hash.
    """

    normalize: Callable[[Payload], dict[str, object]]
    key_of: Callable[[Payload], str]
    keep: Callable[[Payload], bool] | None = None
    ignore: Collection[str] = ()

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        """Judge records; the first has the ordinal `first_ordinal`. Raises nothing for what a record holds."""
        batch = TransformedBatch(len(records))
        for ordinal, record in enumerate(records, first_ordinal):
            self._judge(batch, ordinal, record)
        return batch

    def _judge(self, batch: TransformedBatch, ordinal: int, record: SourceRecord) -> None:
        payload = record.payload
        try:
            text = payload_json(payload)
        except UnstorableError as error:
            batch.rejected.append(_unstorable(ordinal, record, self._key(payload), str(error)))
            return
        hash_of_content = content_hash(payload, ignore=self.ignore)
        try:
            if record.defects:
                raise RecordRejected(*record.defects)
            if self.keep is not None and not self.keep(payload):
                batch.filtered.append(Filtered(ordinal, self._key(payload)))
                return
            unified = UnifiedRecord.model_validate(self.normalize(payload))
            attributes = _attributes_json(unified.attributes)
        except RecordRejected as rejected:
            defects = rejected.defects
        except ValidationError as error:
            defects = defects_of(error)
        else:
            hash_of_record = _hash(unified)
            batch.accepted.append(
                Accepted(
                    ordinal,
                    unified.record_key,
                    text,
                    hash_of_content,
                    record.locator,
                    unified,
                    hash_of_record,
                    attributes,
                )
            )
            return
        key = self._key(payload)
        batch.rejected.append(Rejected(ordinal, key, text, hash_of_content, record.locator, defects))

    def _key(self, payload: Payload) -> str | None:
        """The record's key where it can be told, in the form that an accepted record has, else None."""
        try:
            return _key_text().validate_python(self.key_of(payload))
        except (RecordRejected, UnstorableError, ValidationError):
            return None


@cache
def _key_text() -> TypeAdapter[str]:
    return TypeAdapter(KeyText)


def _unstorable(ordinal: int, record: SourceRecord, key: str | None, reason: str) -> Rejected:
    raw = json.dumps(record.payload, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    payload = unstorable(raw)
    defects = (*record.defects, Defect("unstorable", f"the payload cannot be stored: {reason}"))
    return Rejected(ordinal, key, payload_json(payload), content_hash(payload), record.locator, defects)


def _attributes_json(attributes: dict[str, Any]) -> str:
    try:
        return payload_json(attributes)
    except UnstorableError as error:
        raise RecordRejected(Defect("unstorable", f"attributes cannot be stored: {error}", "attributes")) from None


def _hash(record: UnifiedRecord) -> bytes:
    fields = dict(record.__dict__)
    del fields["record_key"]
    return record_hash(fields)
