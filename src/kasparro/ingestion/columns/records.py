"""Records to what the store writes, column by column: the same rows as one by one. Pure computing, meant for a thread.

What is not clearly good is declined: such a record is judged alone, by Pydantic, which also words what is wrong.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa

from kasparro.core.canonical import without_paths
from kasparro.core.json_columns import encode_objects, join_members
from kasparro.ingestion.columns.fields import Doubts, Values, read_field
from kasparro.ingestion.columns.hashing import as_binary, hash_texts
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


def transform_records(rules: Rules, records: Sequence[SourceRecord], ordinals: Sequence[int]) -> Judged:
    """Judge all records at once; `declined` are positions of those that must be judged alone."""
    places = [place for place, record in enumerate(records) if _is_plain(rules, record)]
    texts = encode_objects([records[place].payload for place in places])
    if None in texts.exact:
        places = [place for place, text in zip(places, texts.exact, strict=True) if text is not None]
        texts = texts.storable()
    payloads = [records[place].payload for place in places]
    doubts: Doubts = set()
    values = _field_values(rules, payloads, doubts)
    fields = {name: read_field(name, column, doubts) for name, column in values.items()}
    columns = {
        "ordinal": pa.array([ordinals[place] for place in places], pa.int64()),
        "reject": pa.repeat(pa.scalar(value=False), len(places)),
        "payload": pa.array(texts.exact, pa.string()),
        "content_hash": _hashes(texts.canonical if not rules.ignore else _without(payloads, rules.ignore)),
        "locator": pa.array([records[place].locator for place in places], pa.string()),
        "record_hash": _hashes(_canonical(fields, len(places))),
        **{name: field.stored for name, field in fields.items()},
    }
    if rules.version is not None:
        columns["version"] = pa.array(_versions(rules.version, payloads, doubts), pa.string())
    rows = pa.RecordBatch.from_arrays(
        [columns[item.name] if item.name in columns else pa.nulls(len(places), item.type) for item in STAGE_SCHEMA],
        schema=STAGE_SCHEMA,
    )
    good = [place for number, place in enumerate(places) if number not in doubts]
    if len(good) == len(records):
        return Judged(rows, [])
    kept = rows.filter(pa.array([number not in doubts for number in range(len(places))], pa.bool_()))
    return Judged(kept, sorted(set(range(len(records))).difference(good)))


def _is_plain(rules: Rules, record: SourceRecord) -> bool:
    """Whether the record is neither known to be wrong, nor a tombstone, nor filtered."""
    if record.defects or (rules.keep is None and rules.is_tombstone is None):
        return not record.defects
    try:
        if rules.is_tombstone is not None and rules.is_tombstone(record.payload):
            return False
        return rules.keep is None or rules.keep(record.payload)
    except RecordRejected:
        return False


def _field_values(rules: Rules, payloads: list[Payload], doubts: Doubts) -> dict[str, list[Any]]:
    """The candidate fields; of a payload with a defect there is none."""
    if rules.fields is not None:
        try:
            return rules.fields(payloads)
        except (KeyError, Defective, RecordRejected):
            pass  # of which payload it is, the other way tells
    each = [_normalized(rules.normalize, place, payload, doubts) for place, payload in enumerate(payloads)]
    return {name: [fields.get(name) for fields in each] for name in ("record_key", *TARGET_FIELDS)}


def _versions(version: Look, payloads: list[Payload], doubts: Doubts) -> list[str | None]:
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


def _without(payloads: list[Payload], paths: Collection[str]) -> Sequence[str | None]:
    return encode_objects([without_paths(payload, paths) for payload in payloads]).canonical


def _hashes(texts: Sequence[str | None]) -> pa.Array:
    return as_binary(hash_texts(pa.array(texts, pa.string())))


def _canonical(fields: dict[str, Values], length: int) -> list[str]:
    """The canonical form of each unified record: its fields by name, without those that have no value."""
    names = sorted(name for name, field in fields.items() if any(field.canonical))
    members = [fields[name].canonical for name in names]
    if not names:
        return ["{}"] * length
    if all(map(all, members)):
        return join_members(names, cast("list[list[str]]", members))
    written = [[text and f'"{name}":{text}' for text in column] for name, column in zip(names, members, strict=True)]
    return ["{" + ",".join(filter(None, row)) + "}" for row in zip(*written, strict=True)]
