"""`kasparro drift propose`: the changes to the configuration that open findings call for, as a patch or made."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result
from kasparro.cli.progress import step
from kasparro.cli.secrets import know_secrets
from kasparro.core.masking import mask_known

if TYPE_CHECKING:
    from kasparro.core.database import Connection
    from kasparro.ingestion.mending.patching import ConfigurationFile, Patch
    from kasparro.ingestion.mending.proposals import Change, Drifted, Unchanged
    from kasparro.services.drift import DriftEvent

SourceArgument = Annotated[str | None, typer.Argument(metavar="SOURCE", help="A source's name (default: all).")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Change the configuration file, rather than show how.")]
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
    from kasparro.ingestion.mending.patching import patch_for, read_file, write

    know_secrets(context)
    file = read_file(context.config_path, _shown(context.config_path), os.environ)
    async with connected(context, "drift") as connection:
        findings = await _findings(context, connection, file, source)
        patch = patch_for(file, findings, os.environ)
        effects = await _effects(context, connection, patch) if preview else {}
    if apply and patch.text:
        write(patch)
    elif mask_known(patch.text) != patch.text:
        context.note("the patch does not apply: secrets are masked in it. Use --apply")
    steps = _steps(patch, applied=apply)
    _tell(context, patch, effects, applied=apply)
    for line in steps:
        context.note(f"  {line}")
    data = {
        "file": file.name, "applied": apply and bool(patch.text), "patch": patch.text,
        "changes": [_change(name, each) for name, changes in patch.changes.items() for each in changes],
        "unchanged": [_unchanged(name, each) for name, kept in patch.unchanged.items() for each in kept],
        "effects": effects, "next": steps,
    }  # fmt: skip
    human = [patch.text.removesuffix("\n")] if patch.text and not apply else []
    return Result(data, human)


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
    from kasparro.ingestion.mending.proposals import Drifted
    from kasparro.ingestion.operations.drift import payloads_since, renames_held_back

    fields = [event.field for event in missing]
    size, renames = await renames_held_back(connection, source, fields)
    by_old = {renamed(each.field, fields)[0]: each for each in renames}
    found: list[Drifted] = []
    for event in missing:
        rename = by_old.get(event.field)
        if rename is None:
            said = f"no other name of it is told by {size:,} records that are held back (from 100 on, it may be)"
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
            passing = await would_pass(connection, name, chosen, job.transformer, job.mapping_hash)
            effects[name] = {"records": found["counts"], "held_back": await _waiting(connection, chosen)}
            effects[name]["would_pass"] = sum(passing.values())
    return effects


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
        if effect["held_back"]:
            context.note(f"{name}: {effect['would_pass']:,} of {effect['held_back']:,} records held back would pass")
    if not patch.text:
        context.note("nothing to change")


def _label(change: "Change") -> str:
    from kasparro.ingestion.mending.patching import label

    return label(change.finding)


def _steps(patch: "Patch", *, applied: bool) -> list[str]:
    """The commands that follow."""
    fine = {
        name: [each.finding.id for each in kept if each.is_fine and each.setting is not None]
        for name, kept in patch.unchanged.items()
    }
    names = [name for name in patch.changes if patch.changes[name] or fine[name]]
    if not names:
        return []
    steps = [] if applied or not patch.text else ["kasparro drift propose --apply"]
    steps += ["kasparro check"] if patch.text else []
    for name in names:
        if patch.changes[name]:
            steps += [f"kasparro replay plan {name}", "kasparro replay apply PLAN"]
        numbers = dict.fromkeys([*(each.finding.id for each in patch.changes[name]), *fine[name]])
        steps.append(f"kasparro drift accept {' '.join(map(str, sorted(numbers)))}")
        steps.append(f"kasparro rejects requeue --source {name} --code drift")
    return steps


def _change(source: str, change: "Change") -> dict[str, Any]:
    return {
        **_finding(source, change.finding), "setting": change.use.shown, "before": change.use.text,
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
