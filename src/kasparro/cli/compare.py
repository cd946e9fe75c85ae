"""`kasparro runs compare`: two runs side by side, down to the record, and why they differ."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table, raw_text, shown
from kasparro.cli.secrets import know_secrets
from kasparro.core.errors import EXIT_DIFFERENCES, EXIT_OK, UsageError

if TYPE_CHECKING:
    from kasparro.ingestion.operations.comparing import Compared
    from kasparro.schemas.pages.comparison import ComparedRecord, Measure, RecordKind, RunComparison

_SHOWN_CHANGES: Final = 3
_LONGEST: Final = 60
_RUN: Final = ("state", "operation", "runs", "started_at", "finished_at", "mapping_version", "code_version", "digest")


class RecordChoice(StrEnum):
    """Which records to list; `differing`: all kinds but `unchanged`."""

    differing = "differing"
    new = "new"
    changed = "changed"
    deleted = "deleted"
    gone = "gone"
    remapped = "remapped"
    unchanged = "unchanged"


BaseArgument = Annotated[int, typer.Argument(metavar="BASE", help="A run's number; the earlier one is the base.")]
TargetArgument = Annotated[int, typer.Argument(metavar="TARGET", help="Another run of the same source.")]
RecordsOption = Annotated[RecordChoice, typer.Option("--records", help="Which records to list.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many records to list.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Where the list goes on, as the page before has said.")
]


@command(example="kasparro runs compare 11 12 --records changed")
async def compare_runs(
    context: Context,
    base: BaseArgument,
    target: TargetArgument,
    records: RecordsOption = RecordChoice.differing,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
) -> Result:
    """Show how two runs of a source differ: counters, durations, mapping, configuration, code, and each record.

    Exit 9 when records, the shape of payloads, mapping, configuration or code differ; 0 when nothing is known to.
    """
    from kasparro.ingestion.operations.compared_kinds import DIFFERENCES
    from kasparro.ingestion.operations.comparing import Listing, compare

    know_secrets(context)
    kinds: tuple[RecordKind, ...] = DIFFERENCES if records is RecordChoice.differing else (records.value,)
    listing = Listing(kinds, _place(cursor, len(kinds)), limit)
    async with connected(context, "runs") as connection:
        found = await compare(connection, base, target, listing)
    code = EXIT_DIFFERENCES if found.comparison.differs else EXIT_OK
    following = None if found.next_after is None else "-".join(map(str, found.next_after))
    more = following and f"kasparro runs compare {base} {target} --records {records.value} --cursor {following}"
    return Result(_as_data(found, limit, following), _shown(found.comparison, found.total, more), code)


def _place(cursor: str | None, kinds: int) -> tuple[int, int] | None:
    if cursor is None:
        return None
    match = re.fullmatch("([0-9])-([0-9]{1,18})", cursor)
    if match is None or int(match[1]) >= kinds:
        raise UsageError(f'--cursor: "{cursor}" is none of this list', hint="repeat --records as it was")
    return int(match[1]), int(match[2])


def _as_data(found: "Compared", limit: int, following: str | None) -> dict[str, Any]:
    page = {"limit": limit, "next_cursor": following, "has_more": following is not None, "total": found.total}
    return {**found.comparison.model_dump(), "page": page}


def _shown(found: "RunComparison", total: int | None, more: str | None) -> list[str | Table]:
    names = (f"run {found.base.id}", f"run {found.target.id}")
    human: list[str | Table] = [f"{found.source}: {found.verdict}", ""]
    if found.swapped:
        human.insert(1, f"run {found.base.id} ended earlier: it is the base")
    runs = [(name, getattr(found.base, name), getattr(found.target, name)) for name in _RUN]
    human += [Table(("", *names), runs), "", _causes(found, names), "", _measures("counter", found.counters, names)]
    human += ["", _measures("seconds", found.durations, names)]
    if found.mapping_changes:
        rows = [(each.pointer, _value(each.before), _value(each.after)) for each in found.mapping_changes]
        human += ["", Table(("mapping", *names), rows)]
    human += [*_drift(found), *_totals(found), *_fields(found), *_listed(found, total)]
    if more:
        human.append(f"more: {more}")
    return [*human, *([""] if found.notes else []), *found.notes]


def _causes(found: "RunComparison", names: tuple[str, str]) -> Table:
    rows = [
        (each.what, "not known" if each.changed is None else each.changed, each.base, each.target, each.detail)
        for each in found.causes
    ]
    return Table(("cause", "changed", *names, "what"), rows)


def _measures(what: str, measures: "list[Measure]", names: tuple[str, str]) -> Table:
    rows = [(each.name, _number(each.base), _number(each.target), _signed(each), _relative(each)) for each in measures]
    return Table((what, *names, "delta", "relative"), rows, right=(*names, "delta", "relative"))


def _number(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{int(value):,}" if value == int(value) else f"{value:,.3f}"


def _signed(each: "Measure") -> str | None:
    text = _number(each.delta)
    return f"+{text}" if text and each.delta and each.delta > 0 else text


def _relative(each: "Measure") -> str | None:
    return None if each.relative is None else f"{each.relative:+.1%}"


def _drift(found: "RunComparison") -> list[str | Table]:
    if not found.drift:
        return []
    columns = ("id", "run_id", "kind", "field", "share", "mapped", "policy", "state")
    rows = [[f"{each.share:.1%}" if name == "share" else getattr(each, name) for name in columns]
            for each in found.drift]  # fmt: skip
    return ["", Table(columns, rows, title="drift between"), *(["and more"] if found.more_drift else [])]


def _totals(found: "RunComparison") -> list[str | Table]:
    totals = found.records.totals.model_dump().items()
    rows = [(name, "not known" if count is None else count) for name, count in totals]
    return ["", Table(("records", "count"), rows, right=("count",))]


def _fields(found: "RunComparison") -> list[str | Table]:
    records = found.records
    if not records.fields:
        return []
    rows = [(each.pointer, each.records, each.feeds) for each in records.fields]
    title = f"fields that changed, in {records.fields_of:,} of the changed records"
    return ["", Table(("field", "records", "feeds"), rows, title=title, right=("records",))]


def _listed(found: "RunComparison", total: int | None) -> list[str | Table]:
    items = found.records.items
    if not items:
        return []
    rows = [(item.kind, item.key, item.id, _what(item)) for item in items]
    title = f"{len(items):,} of {shown(total)} records"
    return ["", Table(("kind", "key", "id", "what"), rows, title=title)]


def _what(item: "ComparedRecord") -> str:
    """What differs in a record, in one line; the API and `--json` have all of it."""
    if item.kind == "new":
        return "was there before" if item.returned else ""
    if item.kind != "changed":
        return item.deletion or ""
    if item.changes is None:
        return "one of its payloads was dropped by retention"
    parts = [f"{each.pointer}: {_value(each.before)} -> {_value(each.after)}" for each in item.changes[:_SHOWN_CHANGES]]
    left = len(item.changes) - _SHOWN_CHANGES
    return "; ".join([*parts, *([f"{left} more"] if left > 0 else [])])


def _value(value: object) -> str:
    text = "null" if value is None else raw_text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
