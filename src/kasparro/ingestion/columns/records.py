"""Records to what the store writes, column by column: the same rows as one by one. Pure computing, meant for a thread.

What is not clearly good is declined: such a record is judged alone, by Pydantic, which also words what is wrong.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from kasparro.core.canonical import without_paths
from kasparro.core.json_columns import encode_objects
from kasparro.ingestion.columns.fields import Doubts, read_field
from kasparro.ingestion.columns.hashing import as_binary, hash_texts
from kasparro.ingestion.columns.json_text import Pieces, enclosed, member
from kasparro.ingestion.columns.payloads import encode_payloads
from kasparro.ingestion.columns.reading import Column
from kasparro.ingestion.columns.transform import Judged
from kasparro.ingestion.mapping import Fields, Normalize
from kasparro.ingestion.paths import Look
from kasparro.ingestion.source import Payload, RecordRejected, SourceRecord
from kasparro.schemas.batches import STAGE_SCHEMA
from kasparro.schemas.readings import Defective
from kasparro.schemas.unified import TARGET_FIELDS

_NAMES: Final = frozenset(("record_key", *TARGET_FIELDS))
_NEVER_NULL: Final = ("record_key", "tags", "attributes")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a Transformer knows of its source; `fields` is `normalize` over many payloads, where there is such."""

    normalize: Normalize
    keep: Callable[[Payload], bool] | None
    ignore: Collection[str]
    fields: Fields | None
    is_tombstone: Callable[[Payload], bool] | None = None
    version: Look | None = None
    all_stored: bool = False


def transform_records(rules: Rules, records: Sequence[SourceRecord], ordinals: Sequence[int]) -> Judged:
    """Judge all records at once; `declined` are positions of those that must be judged alone."""
    plain = [place for place, record in enumerate(records) if not record.defects and _is_kept(rules, record)]
    texts = _encoded([records[place].payload for place in plain], all_stored=rules.all_stored)
    places = [plain[number] for number in texts.numbers]
    doubts: Doubts = set()
    values = _field_values(rules, texts.payloads, doubts)
    fields = {name: read_field(name, column, doubts) for name, column in values.items()}
    counted = _without(texts.payloads, rules.ignore) if rules.ignore else texts.canonical
    columns = {
        "ordinal": pa.array([ordinals[place] for place in places], pa.int64()),
        "reject": pa.repeat(pa.scalar(value=False), len(places)),
        "payload": texts.exact,
        "content_hash": as_binary(hash_texts(counted)),
        "locator": pa.array([records[place].locator for place in places], pa.string()),
        "record_hash": as_binary(hash_texts(_canonical(fields, len(places)))),
        **{name: field.values for name, field in fields.items()},
    }
    if rules.version is not None:
        columns["version"] = pa.array(_versions(rules.version, texts.payloads, doubts), pa.string())
    rows = pa.RecordBatch.from_arrays(
        [columns[item.name] if item.name in columns else pa.nulls(len(places), item.type) for item in STAGE_SCHEMA],
        schema=STAGE_SCHEMA,
    )
    good = [place for number, place in enumerate(places) if number not in doubts]
    if len(good) == len(records):
        return Judged(rows, [])
    kept = rows.filter(pa.array([number not in doubts for number in range(len(places))], pa.bool_()))
    return Judged(kept, sorted(set(range(len(records))).difference(good)))


def _is_kept(rules: Rules, record: SourceRecord) -> bool:
    """Whether the record is clearly neither a tombstone nor filtered."""
    try:
        if rules.is_tombstone is not None and rules.is_tombstone(record.payload):
            return False
        return rules.keep is None or rules.keep(record.payload)
    except RecordRejected:
        return False


def _field_values(rules: Rules, payloads: Sequence[Payload], doubts: Doubts) -> dict[str, Any]:
    """The candidate fields; of a payload with a defect there is none."""
    if rules.fields is not None:
        try:
            return rules.fields(payloads)
        except (KeyError, Defective, RecordRejected):
            pass  # of which payload it is, the other way tells
    each = [_normalized(rules.normalize, place, payload, doubts) for place, payload in enumerate(payloads)]
    return {name: [fields.get(name) for fields in each] for name in ("record_key", *TARGET_FIELDS)}


def _versions(version: Look, payloads: Sequence[Payload], doubts: Doubts) -> list[str | None]:
    """The records' versions; a record without one is in doubt."""
    try:
        return list(version.many(payloads))
    except RecordRejected:
        pass  # of which payload it is, the other way tells
    versions: list[str | None] = []
    for place, payload in enumerate(payloads):
        try:
            versions.append(version.one(payload))
        except RecordRejected:
            versions.append(None)
            doubts.add(place)
    return versions


def _normalized(normalize: Normalize, place: int, payload: Payload, doubts: Doubts) -> dict[str, object]:
    try:
        fields = normalize(payload)
    except RecordRejected:
        doubts.add(place)
        return {}
    if not fields.keys() <= _NAMES or None in (fields.get(name, ()) for name in _NEVER_NULL):
        doubts.add(place)
    return fields


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Payloads that can be stored, by their numbers, and their texts."""

    payloads: Sequence[Payload]
    numbers: Sequence[int]
    exact: pa.Array
    canonical: pa.Array


def _encoded(payloads: list[Payload], *, all_stored: bool = False) -> _Encoded:
    alike = encode_payloads(payloads, all_stored=all_stored)
    if alike is not None:
        return _Encoded(alike.payloads, range(len(payloads)), alike.exact, alike.canonical)
    texts = encode_objects(payloads)
    numbers = [number for number, text in enumerate(texts.exact) if text is not None]
    storable = texts if len(numbers) == len(payloads) else texts.storable()
    exact = pa.array(storable.exact, pa.string())
    canonical = exact if storable.canonical is storable.exact else pa.array(storable.canonical, pa.string())
    return _Encoded([payloads[number] for number in numbers], numbers, exact, canonical)


def _without(payloads: Sequence[Payload], paths: Collection[str]) -> pa.Array:
    return _encoded([without_paths(payload, paths) for payload in payloads]).canonical


def _canonical(fields: Mapping[str, Column], length: int) -> pa.Array:
    """The canonical form of each unified record: its fields by name, without those that have no value."""
    present = [name for name, field in sorted(fields.items()) if not _is_nothing(field.canonical)]
    if not present:
        return pa.repeat("{}", length)
    return enclosed([member(name, fields[name].canonical) for name in present], "{", "}")


def _is_nothing(value: Pieces) -> bool:
    """Whether no record has the value."""
    return any(not isinstance(piece, str) and piece.null_count == len(piece) for piece in value)
