"""`kasparro drift list|show|accept|reject`: how payloads differ from what was accepted, and what is decided of it."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.cli.secrets import know_secrets
from kasparro.core.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from kasparro.ingestion.mapped_paths import Use
    from kasparro.ingestion.operations.drift import Decision
    from kasparro.services.drift import DriftEvent

_LISTED: Final = (
    "id",
    "source",
    "kind",
    "field",
    "share",
    "confidence",
    "mapped",
    "policy",
    "last run",
    "last_example",
)
_MAX_ID: Final = 30


class DriftState(StrEnum):
    """What became of a finding; `all` for any of them."""

    open = "open"
    accepted = "accepted"
    rejected = "rejected"
    gone = "gone"
    all = "all"


class DriftKind(StrEnum):
    """What a finding is about."""

    field_added = "field_added"
    field_missing = "field_missing"
    field_renamed = "field_renamed"
    type_changed = "type_changed"
    value_shift = "value_shift"


SourceOption = Annotated[str | None, typer.Option("--source", help="Only findings of this source.")]
StateOption = Annotated[DriftState, typer.Option("--state", help="Only those in this state.")]
KindOption = Annotated[DriftKind | None, typer.Option("--kind", help="Only those of this kind.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="Numbers of findings.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; it is kept with the finding.")]


@command(example="kasparro drift list --source earthquakes_api")
async def list_drift(
    context: Context,
    *,
    source: SourceOption = None,
    state: StateOption = DriftState.open,
    kind: KindOption = None,
    limit: LimitOption = 50,
) -> Result:
    """Show how payloads differ from the shape that was accepted, the newest findings first."""
    from kasparro.services import drift, sources

    know_secrets(context)
    wanted = None if state is DriftState.all else state.value
    async with connected(context, "drift") as connection:
        if source is not None:
            await sources.get(connection, source)
        chosen = None if kind is None else kind.value
        found = await drift.page(connection, source=source, kind=chosen, state=wanted, before=None, limit=limit)
    table = Table(_LISTED, [_row(each) for each in found], right=("id", "share", "confidence", "last run"))
    none = f"no {'' if wanted is None else wanted + ' '}drift"
    return Result(list(map(as_data, found)), [table, *_next_of_all(found)] if found else [none])


@command(example="kasparro drift show 3")
async def show_drift(
    context: Context, finding: Annotated[str, typer.Argument(metavar="ID", help="A finding's number.")]
) -> Result:
    """Show one finding: what was expected, what was seen, how sure that is and why, examples, and what to do next."""
    from kasparro.services import drift

    know_secrets(context)
    async with connected(context, "drift") as connection:
        found = await drift.find(connection, _number(finding))
    todo = what_next(found)
    data = {**as_data(found), "next": todo}
    return Result(data, [Table(("field", "value"), _about(found)), "", *todo])


@command(example="kasparro drift accept 3 --reason 'announced by the vendor'")
async def accept_drift(context: Context, findings: IdsArgument, reason: ReasonOption = None) -> Result:
    """Take findings into the accepted shape: from now on, payloads are expected to be so.

    Of a field that the mapping needs: patch the mapping first (`kasparro drift propose`), or records that come without
    it lose their value. Exit 8 while a run of the source is at work.
    """
    return await _decided(context, findings, "accepted", reason)


@command(example="kasparro drift reject 3 --reason 'two different things'")
async def reject_drift(context: Context, findings: IdsArgument, reason: ReasonOption = None) -> Result:
    """Say that findings are wrong, and close them. The accepted shape stays as it is.

    A rename that is rejected is not told again: if it is still so, the one field is told of as missing and the other as
    added. Others are told again, should the next run see them.
    """
    return await _decided(context, findings, "rejected", reason)


def as_data(finding: "DriftEvent") -> dict[str, Any]:
    """For programs: without inner ids."""
    return {name: value for name, value in asdict(finding).items() if name != "source_id"}


def what_next(finding: "DriftEvent") -> list[str]:
    """Sentences on what to do about a finding."""
    number, source = finding.id, finding.source
    if finding.state != "open":
        return []
    accept = f"kasparro drift accept {number}    if it is to stay so"
    reject = f"kasparro drift reject {number}    if it is wrong"
    steps: list[str] = []
    if finding.policy == "quarantine":
        steps.append(f"kasparro rejects list --source {source} --code drift    shows the records that are held back")
    if finding.mapped and finding.kind in ("field_renamed", "type_changed"):
        steps.append(f"kasparro drift propose {source}    shows how to change the mapping")
        accept = f"kasparro drift accept {number}    once the mapping reads it"
    elif finding.mapped and finding.kind == "field_missing":
        accept = f"kasparro drift accept {number}    if it stays away: the mapping finds no value then"
    return [*steps, accept, reject]


async def _decided(context: Context, names: Sequence[str], decision: "Decision", reason: str | None) -> Result:
    """Close each of the findings; nothing is closed where one of them cannot be."""
    from kasparro.core.database import resolve
    from kasparro.ingestion.operations.drift import decide, require_open
    from kasparro.services import drift

    if reason is not None and not reason.strip():
        raise UsageError("--reason is empty")
    know_secrets(context)
    async with connected(context, "drift") as connection:
        found = [await drift.find(connection, number) for number in dict.fromkeys(map(_number, names))]
    for finding in found:
        require_open(finding)
        if decision == "accepted":
            _warn_of_lost_values(context, finding)
    options, why = await resolve(context.settings, report=context.note), reason and reason.strip()
    closed = [
        await decide(options, finding, decision, by=_who(), reason=why, at=datetime.now(UTC)) for finding in found
    ]
    told = [f"drift {each.id} {decision}: {each.source}, {each.kind}, {each.field}" for each in closed]
    return Result(list(map(as_data, closed)), told)


_MAY: Final = {"deletes.tombstone": "delete what is stored", "where": "be left out"}
"""What records without a field may do where these settings read it."""


def _warn_of_lost_values(context: Context, finding: "DriftEvent") -> None:
    """Say so where the mapping still needs what is not there any more."""
    from kasparro.ingestion.drift.accepted import is_within, renamed
    from kasparro.ingestion.mapped_paths import mapped_paths, uses_of
    from kasparro.schemas.configuration import load_configuration

    if finding.kind not in ("field_missing", "field_renamed"):
        return
    try:
        config = load_configuration(context.config_path, os.environ).source(finding.source)
    except ConfigurationError:
        return
    if config is None:
        return
    needed = mapped_paths(config)
    gone = finding.field if finding.kind == "field_missing" else renamed(finding.field, needed)[0]
    reading = [use for use in uses_of(config, gone) if _needs_alone(use, gone)]
    losing = [use.shown for use in reading if use.is_needed and use.shown not in _MAY]
    if losing and any(is_within(path, gone) for path in needed):
        uses = ", ".join(losing)
        context.note(f"warning: {finding.source}: {uses} still reads {gone}: records without it have no value there")
    for setting in (use.shown for use in reading if use.shown in _MAY):
        may = _MAY[setting]
        context.note(f"warning: {finding.source}: {setting} still reads {gone}: records without it may {may}")


def _needs_alone(use: "Use", field: str) -> bool:
    """Whether a setting finds nothing without a field, or without one that stands in it."""
    from kasparro.ingestion.drift.accepted import is_within

    return any(len(need) == 1 and is_within(next(iter(need)), field) for need in use.reads.needs)


def _who() -> str:
    """The user of the operating system, by name where it has one."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the password database, as in many containers
        return f"uid {os.getuid()}"


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_ID:
        raise UsageError(f'"{text}" is not the number of a finding', hint="see `kasparro drift list`")
    return int(text)


def _row(finding: "DriftEvent") -> list[object]:
    return [
        finding.id, finding.source, finding.kind, finding.field, percent(finding.share),
        f"{finding.confidence:.2f}", "yes" if finding.mapped else "no", finding.policy,
        finding.last_run_id or finding.run_id, finding.last_example,
    ]  # fmt: skip


def _about(finding: "DriftEvent") -> list[tuple[str, object]]:
    parts = ", ".join(f"{name} {part:.2f}" for name, part in finding.parts.items())
    rows: list[tuple[str, object]] = [
        ("id", finding.id),
        ("source", finding.source),
        ("kind", finding.kind),
        ("field", finding.field),
        ("expected", finding.expected),
        ("seen", finding.seen),
        ("share", percent(finding.share)),
        ("confidence", f"{finding.confidence:.4f} ({parts})"),
        ("mapped", "yes" if finding.mapped else "no"),
        ("policy", finding.policy),
        ("first example", finding.first_example),
        ("last example", finding.last_example),
        ("first run", str(finding.run_id)),
        ("last run", str(finding.last_run_id or finding.run_id)),
        ("first seen", finding.created_at),
        ("last seen", finding.last_seen_at),
        ("state", finding.state),
    ]
    closed = [("closed", finding.closed_at), ("by", finding.closed_by), ("reason", finding.reason)]
    return rows if finding.state == "open" else [*rows, *closed]


def percent(share: float) -> str:
    """Such as `12.5 %`."""
    return f"{share * 100:.1f} %"


def _next_of_all(found: "list[DriftEvent]") -> list[str]:
    mended = {each.source for each in found if each.state == "open" and each.mapped}
    hints = [f"kasparro drift propose {name}    shows how to change its mapping" for name in sorted(mended)]
    return ["", "kasparro drift show ID    says more of one", *hints]
