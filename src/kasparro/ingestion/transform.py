"""From raw records to what the store writes: judged, normalized and hashed. Pure computing, meant for a thread.

The order of judgement: what jsonb cannot hold, what the reader knows to be wrong, `deletes.tombstone`, `where`, the
mapping, the model.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any, Final, cast

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from kasparro.core.canonical import UnstorableError, content_hash, payload_json, record_hash, unstorable
from kasparro.ingestion.columns.mapping import ColumnMapping
from kasparro.ingestion.columns.records import Rules, transform_records
from kasparro.ingestion.columns.text import TextColumns, parts_of
from kasparro.ingestion.columns.transform import transform_columns
from kasparro.ingestion.judgement import defects_of
from kasparro.ingestion.mapping import Fields
from kasparro.ingestion.paths import Look
from kasparro.ingestion.source import Defect, Payload, RecordRejected, SourceRecord
from kasparro.schemas.batches import Tombstone
from kasparro.schemas.unified import KeyText, UnifiedRecord

_KEPT_LEVELS: Final = 100
_RECORDS_AT_ONCE: Final = 2_000


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
    version: str | None = None


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
    """What became of a reader's batch; every record is in exactly one of the lists, each in the order of ordinals.

    `columns` holds accepted records too: rows by STAGE_SCHEMA, of parts that were judged as columns.
    """

    fetched: int
    columns: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    filtered: list[Filtered] = field(default_factory=list[Filtered])
    tombstones: list[Tombstone] = field(default_factory=list[Tombstone])


@dataclass(frozen=True, slots=True)
class Transformer:
    """Transforms the records of one source.

    `normalize` and `key_of` raise RecordRejected; `keep` is the source's `where` (None: every record is kept) and
    raises it too; `ignore` are paths that do not count towards the content hash. `mapping` judges rows of text as
    columns, and `fields` is `normalize` over many payloads: with the same results, where a configuration allows for it.
    `is_tombstone` is the source's `deletes.tombstone`, and raises like `keep`; `version` gives records their versions,
    and raises like `normalize`. `all_stored`: every payload is going to be stored, as in a first load; members then
    come in the order in which jsonb keeps them, which costs less here than sorting them costs the server.
    """

    normalize: Callable[[Payload], dict[str, object]]
    key_of: Callable[[Payload], str]
    keep: Callable[[Payload], bool] | None = None
    ignore: Collection[str] = ()
    mapping: ColumnMapping | None = None
    fields: Fields | None = None
    is_tombstone: Callable[[Payload], bool] | None = None
    version: Look | None = None
    all_stored: bool = False

    def transform(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        """Judge records; the first has the ordinal `first_ordinal`. Raises nothing for what a record holds."""
        batch = TransformedBatch(len(records))
        ordinal = first_ordinal
        for part in parts_of(records):
            if self.mapping is not None and isinstance(part, TextColumns):
                judged = transform_columns(self.mapping, part, ordinal, all_stored=self.all_stored)
                declined = [part[place] for place in judged.declined]
                others = self._as_columns(batch, declined, [ordinal + place for place in judged.declined])
                batch.columns.extend(_in_order(judged.rows, others))
            else:
                for begin in range(0, len(part), _RECORDS_AT_ONCE):
                    some = list(part[begin : begin + _RECORDS_AT_ONCE])
                    ordinals = range(ordinal + begin, ordinal + begin + len(some))
                    batch.columns.extend(_in_order(self._as_columns(batch, some, ordinals)))
            ordinal += len(part)
        return batch

    def judge(self, records: Sequence[SourceRecord], first_ordinal: int) -> TransformedBatch:
        """The same, one by one: all that passes is in `accepted`."""
        batch = TransformedBatch(len(records))
        for ordinal, record in enumerate(records, first_ordinal):
            self._judge(batch, ordinal, record)
        return batch

    def _as_columns(
        self, batch: TransformedBatch, records: list[SourceRecord], ordinals: Sequence[int]
    ) -> pa.RecordBatch:
        """The rows of records that are clearly good; the others are judged one by one."""
        rules = Rules(
            self.normalize, self.keep, self.ignore, self.fields, self.is_tombstone, self.version, self.all_stored
        )
        judged = transform_records(rules, records, ordinals)
        for place in judged.declined:
            self._judge(batch, ordinals[place], records[place])
        return judged.rows

    def _judge(self, batch: TransformedBatch, ordinal: int, record: SourceRecord) -> None:
        try:
            text, hash_of_content = payload_json(record.payload), content_hash(record.payload, ignore=self.ignore)
        except UnstorableError as error:
            batch.rejected.append(_unstorable(ordinal, record, self._key(record.payload), str(error)))
            return
        try:
            if record.defects:
                raise RecordRejected(*record.defects)
            if self.is_tombstone is not None and self.is_tombstone(record.payload):
                key = self._required_key(record.payload)
                version = self._version(record.payload)[0]
                batch.tombstones.append(Tombstone(ordinal, key, text, hash_of_content, record.locator, version))
                return
            if self.keep is not None and not self.keep(record.payload):
                batch.filtered.append(Filtered(ordinal, self._key(record.payload)))
                return
            unified, version = self._normalized(record.payload)
            attributes, hash_of_record = _encode_record(unified)
        except RecordRejected as rejected:
            key = self._key(record.payload)
            batch.rejected.append(Rejected(ordinal, key, text, hash_of_content, record.locator, rejected.defects))
            return
        key = unified.record_key
        batch.accepted.append(
            Accepted(ordinal, key, text, hash_of_content, record.locator, unified, hash_of_record, attributes, version)
        )

    def _normalized(self, payload: Payload) -> tuple[UnifiedRecord, str | None]:
        """The record and its version. Raises RecordRejected with all that is wrong with both."""
        version, missing = self._version(payload)
        try:
            unified = UnifiedRecord.model_validate(self.normalize(payload))
        except RecordRejected as rejected:
            raise RecordRejected(*rejected.defects, *missing) from None
        except ValidationError as error:
            raise RecordRejected(*defects_of(error), *missing) from None
        if missing:
            raise RecordRejected(*missing)
        return unified, version

    def _version(self, payload: Payload) -> tuple[str | None, tuple[Defect, ...]]:
        """The record's version, where there are such, or why it has none."""
        try:
            return (None if self.version is None else self.version.one(payload)), ()
        except RecordRejected as rejected:
            return None, rejected.defects

    def _required_key(self, payload: Payload) -> str:
        """The record's key, in the form that an accepted record has. Raises RecordRejected."""
        try:
            return _key_text().validate_python(self.key_of(payload))
        except ValidationError as error:
            raise RecordRejected(*(replace(defect, field="record_key") for defect in defects_of(error))) from None
        except UnstorableError as error:
            raise RecordRejected(Defect("unstorable", f"the key cannot be stored: {error}", "record_key")) from None

    def _key(self, payload: Payload) -> str | None:
        """The record's key where it can be told, in the form that an accepted record has, else None."""
        try:
            return self._required_key(payload)
        except RecordRejected:
            return None


def _in_order(*parts: pa.RecordBatch) -> list[pa.RecordBatch]:
    """What there is in these parts, in the order of ordinals."""
    filled = [rows for rows in parts if rows.num_rows]
    if len(filled) < 2:
        return filled
    table = pa.Table.from_batches(filled)
    return table.sort_by("ordinal").to_batches()  # pyright: ignore[reportUnknownMemberType]


@cache
def _key_text() -> TypeAdapter[str]:
    return TypeAdapter(KeyText)


def _unstorable(ordinal: int, record: SourceRecord, key: str | None, reason: str) -> Rejected:
    try:
        text = json.dumps(record.payload, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        text = json.dumps(_encodable(record.payload), ensure_ascii=False, default=str)
    payload = unstorable(text.encode("utf-8", "surrogatepass"))
    defects = (*record.defects, Defect("unstorable", f"the payload cannot be stored: {reason}"))
    return Rejected(ordinal, key, payload_json(payload), content_hash(payload), record.locator, defects)


def _encodable(value: Any, depth: int = 0) -> Any:
    """What every encoder takes: nesting cut at 100 levels; integers, whose digits Python limits, as decimals."""
    if isinstance(value, dict | list | tuple) and depth == _KEPT_LEVELS:
        return "..."
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: _encodable(item, depth + 1) for key, item in members.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item, depth + 1) for item in cast("list[Any]", value)]
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _encode_record(record: UnifiedRecord) -> tuple[str, bytes]:
    """The attributes as JSON, and the hash of the record. Raises RecordRejected for what cannot be stored."""
    fields = record.__dict__
    try:
        return payload_json(record.attributes), record_hash(fields)
    except UnstorableError as error:
        raise RecordRejected(Defect("unstorable", f"attributes cannot be stored: {error}", "attributes")) from None
