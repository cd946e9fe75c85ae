"""`kasparro sample`: a few records of a source, raw and normalized side by side. Writes nothing, needs no database."""

from contextlib import aclosing
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table, raw_text
from kasparro.core.errors import SourceError
from kasparro.core.masking import mask_text

_EXPLAINED_RECORDS = 100
"""How many records are looked at for `--explain`."""
_WIDEST = 60

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from kasparro.ingestion.source import FinalBatch, Source, SourceRecord
    from kasparro.ingestion.transform import TransformedBatch


@command(example="kasparro sample earthquakes_csv --limit 3")
async def sample(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many records.")] = 5,
    explain: Annotated[bool, typer.Option("--explain", help="Show what was detected, and what might be set.")] = False,
) -> Result:
    """Fetch a few records of a source and show them raw and normalized side by side. Writes nothing."""
    from kasparro.cli.explaining import Answers, detected_in, findings_of, watermark_in
    from kasparro.cli.jobs import choose, open_fetchers
    from kasparro.ingestion.registry import build_source, build_transformer

    [chosen] = choose(context, [source])
    async with open_fetchers(context.settings, [chosen]) as fetchers:
        answers = Answers(fetchers) if fetchers else None
        reader = build_source(chosen, context.config_path.parent, answers)
        answered = answers.seen if answers else []
        try:
            fetched, partitions = await _fetch(reader, max(limit, _EXPLAINED_RECORDS) if explain else limit)
        except SourceError as error:
            if explain and answered:
                error.hint = _told(findings_of([], answered, reader.type))
            raise
        detected = await detected_in(reader, partitions, answered)
    records = fetched[:limit]
    batch = build_transformer(chosen).judge(records, 1)
    shown = [_shown(ordinal, record, batch) for ordinal, record in enumerate(records, 1)]
    human: list[str | Table] = [f"{place}: {text}" for place, text in detected.items()]
    findings = findings_of(fetched, answered, reader.type) | watermark_in(chosen, fetched) if explain else {}
    human += [_told({name: text}) for name, text in findings.items()]
    for record in shown:
        human += ["", *_side_by_side(record)]
    result = {"source": source, "detected": detected, "records": shown}
    return Result(result | ({"findings": findings} if explain else {}), human)


def _told(findings: "Mapping[str, str]") -> str:
    return "; ".join(f"{name}: {text}" for name, text in findings.items())


async def _fetch(reader: "Source", limit: int) -> "tuple[list[SourceRecord], list[str]]":
    """Records of the first partitions, at least as many as asked for if there are, and the names of these."""
    from kasparro.ingestion.source import Batch, BatchLimits, Start

    records: list[SourceRecord] = []
    partitions: list[str] = []
    for partition in await reader.partitions():
        partitions.append(partition)
        start = Start(limits=BatchLimits(records=limit - len(records)))
        async with aclosing(cast("AsyncGenerator[Batch | FinalBatch]", reader.read(partition, start))) as batches:
            async for batch in batches:
                if isinstance(batch, Batch):
                    records.extend(batch.records)
                if len(records) >= limit:
                    return records, partitions
    return records, partitions


def _shown(ordinal: int, record: "SourceRecord", batch: "TransformedBatch") -> dict[str, Any]:
    """One record for JSON: `outcome` is accepted, filtered, tombstone or rejected, with `normalized` or `defects`."""
    shown: dict[str, Any] = {"locator": record.locator, "raw": record.payload}
    for accepted in batch.accepted:
        if accepted.ordinal == ordinal:
            normalized = accepted.record.model_dump(exclude_defaults=True)
            return {**shown, "outcome": "accepted", "normalized": normalized}
    for rejected in batch.rejected:
        if rejected.ordinal == ordinal:
            defects = [
                {"code": it.code, "field": it.field, "message": mask_text(it.message)} for it in rejected.defects
            ]
            return {**shown, "outcome": "rejected", "defects": defects}
    is_tombstone = any(tombstone.ordinal == ordinal for tombstone in batch.tombstones)
    return {**shown, "outcome": "tombstone" if is_tombstone else "filtered"}


def _side_by_side(record: dict[str, Any]) -> list[str | Table]:
    from kasparro.cli.explaining import leaves

    title = f"{record['locator']}: {record['outcome']}"
    raw = [(path, _cut(value)) for path, value in leaves(record["raw"])]
    if record["outcome"] != "accepted":
        reasons = [f"  {defect['code']}: {defect['message']}" for defect in record.get("defects", ())]
        return [Table(("raw field", "raw"), raw, title), *reasons]
    fields = [(name, _cut(value)) for name, value in _flat(record["normalized"])]
    pairs = zip_longest(raw, fields, fillvalue=("", ""))
    return [Table(("raw field", "raw", "field", "normalized"), [(*left, *right) for left, right in pairs], title)]


def _cut(value: object) -> object:
    """Long text is cut, and stays on one line: `--json` shows all of it."""
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value)):
        value = ", ".join(cast("list[str]", value))
    if isinstance(value, list | dict | int):
        value = raw_text(cast("object", value))
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _flat(normalized: "Mapping[str, Any]") -> list[tuple[str, object]]:
    """Fields of a record, with a line for each attribute."""
    fields: list[tuple[str, object]] = [(name, value) for name, value in normalized.items() if name != "attributes"]
    return fields + [(f"attributes.{name}", value) for name, value in normalized.get("attributes", {}).items()]
