"""`kasparro drift propose`: the changes to the configuration that open findings call for, as a patch or made."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Verbatim
from kasparro.cli.progress import step
from kasparro.cli.secrets import know_secrets
from kasparro.core.errors import UsageError
from kasparro.core.masking import mask_known

if TYPE_CHECKING:
    from kasparro.core.database import Connection
    from kasparro.ingestion.mending.patching import ConfigurationFile, Patch
    from kasparro.ingestion.mending.proposals import Change, Drifted, Unchanged
    from kasparro.schemas.configuration import AnySourceConfig
    from kasparro.services.drift import DriftEvent

SourceArgument = Annotated[str | None, typer.Argument(metavar="SOURCE", help="A source's name (default: all).")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Change the configuration file, rather than show how.")]
_LOST: Final = ("rejected", "removed", "deleted", "other_key")
PreviewOption = Annotated[
    bool, typer.Option("--preview/--no-preview", help="Judge what is stored by the changed mapping: what would change.")
]


@command(example="kasparro drift propose earthquakes_api > drift.patch && patch -p0 < drift.patch")
async def propose_drift(
    context: Context, source: SourceArgument = None, *, apply: ApplyOption = False, preview: PreviewOption = True
) -> Result:
    """Show how to change the configuration for open findings: renames and changes of type. A patch, on standard output.

    A renamed field is read under its new name, and under its old one where a payload has no other: payloads that are
    stored stay readable. With --apply the file is changed, and nothing in it but these settings. No record is touched.
    """
    from kasparro.ingestion.mending.patching import patch_for, read_file

    know_secrets(context)
    file = read_file(context.config_path, _shown(context.config_path), os.environ)
    async with connected(context, "drift") as connection:
        findings = await _findings(context, connection, file, source)
        patch = patch_for(file, findings, os.environ)
        effects = await _effects(context, connection, patch) if preview else {}
    _tell(context, patch, effects, applied=apply)
    if apply and patch.text:
        _write(patch, effects)
    elif mask_known(patch.text) != patch.text:
        context.note(
            "WARNING: the patch does not apply: lines that it shows have secrets, which are masked. Use --apply"
        )
    steps = _steps(patch, effects, applied=apply)
    for line in steps:
        context.note(f"  {line}")
    data = {
        "file": file.name, "applied": apply and bool(patch.text), "patch": patch.text,
        "changes": [
            _change(name, finding, each) for name, changes in patch.changes.items() for each in changes
            for finding in each.findings
        ],
        "unchanged": [_unchanged(name, each) for name, kept in patch.unchanged.items() for each in kept],
        "effects": effects, "next": steps,
    }  # fmt: skip
    human = [Verbatim(patch.text)] if patch.text and not apply else []
    return Result(data, human)


def _write(patch: "Patch", effects: dict[str, Any]) -> None:
    """Change the file. Raises UsageError where stored records would be lost by it."""
    from kasparro.ingestion.mending.patching import write

    lost = [f"{_records(effect['would_fail'])} of {name}" for name, effect in effects.items() if effect["would_fail"]]
    if lost:
        raise UsageError(
            f"{patch.file.name} is left as it is: the changed mapping would lose {' and '.join(lost)} in a replay",
            hint="change it by hand, from what `kasparro drift propose` shows; --no-preview applies it without a look",
        )
    write(patch)


def _records(count: int) -> str:
    return f"{count:,} stored record{'' if count == 1 else 's'}"


async def _findings(
    context: Context, connection: "Connection", file: "ConfigurationFile", source: str | None
) -> "dict[str, list[Drifted]]":
    """The open findings of configured sources, by source."""
    from kasparro.ingestion.mending.proposals import is_mended
    from kasparro.services import drift, sources

    source_id = None if source is None else (await sources.get(connection, source)).id
    configured = {config.name for config in file.configuration.sources}
    found: dict[str, list[Drifted]] = {}
    missing: dict[str, list[DriftEvent]] = {}
    for event in await drift.open_findings(connection, source_id):
        if event.source not in configured:
            context.note(f"{event.source}: not in {file.name} any more")
        elif is_mended(event.kind, event.expected):
            found.setdefault(event.source, []).append(await _drifted(connection, event))
        elif event.mapped and event.kind == "field_missing":
            missing.setdefault(event.source, []).append(event)
        elif event.mapped:
            context.note(f"{event.source}: drift {event.id}: {event.kind} {event.field}: no change is proposed")
    for name, events in missing.items():
        found.setdefault(name, []).extend(await _told_by_rejects(context, connection, name, events))
    return {name: drifted for name, drifted in found.items() if drifted}


async def _told_by_rejects(
    context: Context, connection: "Connection", source: str, missing: "list[DriftEvent]"
) -> "list[Drifted]":
    """The renames that explain missing fields, which the payloads that are held back tell together."""
    from kasparro.ingestion.drift.accepted import renamed
    from kasparro.ingestion.drift.thresholds import FEWEST_RECORDS
    from kasparro.ingestion.mending.proposals import Drifted
    from kasparro.ingestion.operations.drift import payloads_since, renames_held_back

    fields = [event.field for event in missing]
    size, renames = await renames_held_back(connection, source, fields)
    by_old = {renamed(each.field, fields)[0]: each for each in renames}
    found: list[Drifted] = []
    for event in missing:
        rename = by_old.get(event.field)
        if rename is None:
            few = f": {FEWEST_RECORDS} are needed" if size < FEWEST_RECORDS else ""
            said = f"no other name of it is told by {size:,} records that are held back{few}"
            context.note(f"{source}: drift {event.id}: {event.kind} {event.field}: no change is proposed: {said}")
        else:
            payloads = await payloads_since(connection, source, event.last_run_id)
            found.append(
                Drifted(event.id, rename.kind, rename.field, rename.confidence, rename.parts, payloads=payloads)
            )
    return found


async def _drifted(connection: "Connection", event: "DriftEvent") -> "Drifted":
    from kasparro.ingestion.mending.proposals import Drifted
    from kasparro.ingestion.operations.drift import payloads_since
    from kasparro.services import drift

    told = Drifted(event.id, event.kind, event.field, event.confidence, event.parts, event.expected, event.seen)
    if event.kind == "field_renamed":
        return replace(told, payloads=await payloads_since(connection, event.source, event.last_run_id))
    profile = await drift.seen_profile(connection, event.id)
    return replace(told, limits=(profile or {}).get("fields", {}).get(event.field, {}).get("range"))


async def _effects(context: Context, connection: "Connection", patch: "Patch") -> dict[str, Any]:
    """What the changed mapping makes of stored payloads, by source: counts of a replay plan, and rejects that pass."""
    from kasparro.cli.jobs import open_fetchers
    from kasparro.ingestion.job import build_job
    from kasparro.ingestion.operations.judging import would_pass
    from kasparro.ingestion.operations.replay import preview
    from kasparro.services.reject_lists import RejectFilter

    effects: dict[str, Any] = {}
    async with open_fetchers(context.settings, patch.sources.values()) as fetchers:
        for name, config in patch.sources.items():
            job = build_job(config, context.config_path.parent, fetchers)
            with step(context.output, name) as shown:
                found = await preview(connection, job, advanced=shown.advance)
            chosen = RejectFilter(name, "drift")
            passing = await would_pass(connection, name, chosen, job.transformer, job.mapping_hash, watched=job.watched)
            lost = _lost(found)
            if lost:
                before = build_job(_as_it_is(patch, name), context.config_path.parent, fetchers)
                lost = max(0, lost - _lost(await preview(connection, before)))
            effects[name] = {
                "records": found["counts"], "would_fail": lost, "held_back": await _waiting(connection, chosen),
                "would_pass": sum(passing.values()),
            }  # fmt: skip
    return effects


def _lost(previewed: dict[str, Any]) -> int:
    """How many stored records a replay would not have as live ones, under their keys."""
    return sum(previewed["counts"].get(what, 0) for what in _LOST)


def _as_it_is(patch: "Patch", name: str) -> "AnySourceConfig":
    return next(config for config in patch.file.configuration.sources if config.name == name)


async def _waiting(connection: "Connection", chosen: Any) -> int:
    from kasparro.services import reject_lists

    return sum((await reject_lists.waiting(connection, replace(chosen, state="open"))).values())


def _tell(context: Context, patch: "Patch", effects: dict[str, Any], *, applied: bool) -> None:
    """Say what changes and what does not, and why, on standard error: standard output is the patch."""
    for name, changes in patch.changes.items():
        for change in changes:
            said = "changed" if applied else "to change"
            context.note(f"{name}: {said}: {change.use.shown}: {change.use.text} -> {change.text}  [{_label(change)}]")
    for name, kept in patch.unchanged.items():
        for each in kept:
            setting = "" if each.setting is None else f" {each.setting}:"
            context.note(f"{name}: drift {each.finding.id}: {each.finding.subject}:{setting} {each.reason}")
    for name, effect in effects.items():
        counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in effect["records"].items() if count)
        context.note(f"{name}: by the changed mapping, of the stored records: {counts or 'none'}")
        if effect["would_fail"]:
            lost = _records(effect["would_fail"])
            context.note(f"WARNING: {name}: the changed mapping would lose {lost} in a replay: do not use it as it is")
        if effect["held_back"]:
            context.note(f"{name}: {effect['would_pass']:,} of {effect['held_back']:,} records held back would pass")
    if not patch.text:
        context.note("nothing to change")


def _label(change: "Change") -> str:
    from kasparro.ingestion.mending.patching import label

    return "; ".join(map(label, change.findings))


def _steps(patch: "Patch", effects: dict[str, Any], *, applied: bool) -> list[str]:
    """What follows: settings that are left to people, and commands. None where stored records would be lost by it."""
    if any(effect["would_fail"] for effect in effects.values()):
        return []
    names = [name for name in patch.changes if patch.changes[name] or _is_read(patch.unchanged[name])]
    steps = [] if applied or not patch.text else ["kasparro drift propose --apply"]
    left = [each for name, kept in patch.unchanged.items() for each in _by_hand(name, kept)]
    steps += [*left, *(["kasparro check"] if patch.text or left else [])]
    for name in names:
        if patch.changes[name]:
            steps += [f"kasparro replay plan {name}", "kasparro replay apply PLAN"]
        numbers = _to_accept(patch.changes[name], patch.unchanged[name])
        steps += [f"kasparro drift accept {' '.join(map(str, numbers))}"] if numbers else []
        if not _by_hand(name, patch.unchanged[name]):
            steps.append(f"kasparro rejects requeue --source {name} --code drift")
    return steps


def _is_read(kept: "list[Unchanged]") -> bool:
    """Whether some setting reads what comes now as it is."""
    return any(each.is_fine and each.setting is not None for each in kept)


def _by_hand(source: str, kept: "list[Unchanged]") -> list[str]:
    """The settings that a finding still needs to be changed in."""
    return [f"by hand: {source}: {each.setting} (drift {each.finding.id})" for each in kept if not each.is_fine]


def _to_accept(changes: "list[Change]", kept: "list[Unchanged]") -> list[int]:
    """The findings that end only by a decision, and that every setting is right for.

    A rename ends by itself: the next run sees that nothing needs the old name any more. Accepted before that, the old
    name would not be missed where a setting still needs it.
    """
    found = [
        *(each for change in changes for each in change.findings),
        *(each.finding for each in kept if each.setting),
    ]
    left = {each.finding.id for each in kept if not each.is_fine}
    return sorted({each.id for each in found if each.kind != "field_renamed"} - left)


def _change(source: str, finding: "Drifted", change: "Change") -> dict[str, Any]:
    return {
        **_finding(source, finding), "setting": change.use.shown, "before": change.use.text,
        "after": change.text, "as_expression": change.as_expression, "added": change.is_added,
    }  # fmt: skip


def _unchanged(source: str, kept: "Unchanged") -> dict[str, Any]:
    return {
        **_finding(source, kept.finding), "setting": kept.setting, "reason": kept.reason, "reads_both": kept.is_fine
    }  # fmt: skip


def _finding(source: str, finding: "Drifted") -> dict[str, Any]:
    return {
        "source": source, "id": finding.id, "kind": finding.kind, "field": finding.subject,
        "confidence": finding.confidence, "parts": dict(finding.parts),
    }  # fmt: skip


def _shown(path: Path) -> str:
    """The path as `patch` takes it where one stands now: relative, where it is below the working directory."""
    here = Path.cwd()
    absolute = here / path
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)
