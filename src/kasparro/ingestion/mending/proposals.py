"""What to change in a source's configuration for drift findings, setting by setting, or why nothing is proposed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kasparro.ingestion.drift.accepted import is_within, renamed
from kasparro.ingestion.mapped_paths import Place, Use, read_paths, uses, uses_of
from kasparro.ingestion.mending.renaming import Names, chain, chains_in, either, finds_nothing, read_either, reads_both
from kasparro.ingestion.mending.type_changes import judge
from kasparro.schemas.configuration import AnySourceConfig, CsvSourceConfig

_TIME_FORMAT: Final = "time format"
_COUNTED: Final = "time as a number"
_ASPECTS: Final = frozenset((_TIME_FORMAT, "scale"))


@dataclass(frozen=True, slots=True)
class Drifted:
    """A finding, as far as proposals need it: `subject` is its field, `limits` the least and largest number seen.

    `payloads` are some that have come since, which tell of a rename by what names they have the new field.
    """

    id: int
    kind: str
    subject: str
    confidence: float
    parts: Mapping[str, float]
    expected: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seen: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limits: Sequence[float] | None = None
    payloads: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One setting's new text: `{expr: text}` with `as_expression`, a further item of its list with `is_added`.

    `findings` are all that it answers.
    """

    findings: tuple[Drifted, ...]
    use: Use
    text: str
    as_expression: bool = False
    is_added: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A setting that is not changed, and why; `is_fine` where it reads what comes now as it is."""

    finding: Drifted
    setting: str | None
    reason: str
    is_fine: bool = False


@dataclass(frozen=True, slots=True)
class _Left:
    """Why a setting stays as it is."""

    reason: str
    is_fine: bool = False


@dataclass(slots=True)
class Proposal:
    """All of one source."""

    changes: list[Change] = field(default_factory=list[Change])
    unchanged: list[Unchanged] = field(default_factory=list[Unchanged])


def is_mended(kind: str, expected: Mapping[str, Any]) -> bool:
    """Whether a change of the mapping may answer such a finding; of shifts, those of times."""
    return kind in ("field_renamed", "type_changed") or (kind == "value_shift" and not _ASPECTS.isdisjoint(expected))


def propose(config: AnySourceConfig, findings: Sequence[Drifted]) -> Proposal:
    """The changes for open findings, those of the same setting made into one."""
    proposal, current = Proposal(), {use.at: use for use in uses(config)}
    changed: dict[Place, Change] = {}
    for finding in findings:
        if not is_mended(finding.kind, finding.expected):
            continue
        path = renamed(finding.subject, read_paths(config))[0] if finding.kind == "field_renamed" else finding.subject
        found = uses_of(config, path)
        if not found:
            proposal.unchanged.append(Unchanged(finding, None, "no setting reads it", is_fine=True))
        for use in found:
            if finding.kind == "value_shift" and use.at[:2] != ("map", "occurred_at"):
                continue
            before = changed.get(use.at)
            decided = _decide(config, finding, _as_it_is(current[use.at], before), path)
            if isinstance(decided, Unchanged):
                proposal.unchanged.append(decided)
            elif before is not None and before.is_added:
                reason = f"another name is added to it already: add `{decided.text}` by hand"
                proposal.unchanged.append(Unchanged(finding, use.shown, reason))
            else:
                findings = (*(before.findings if before else ()), finding)
                as_expression = _is_new_form(decided, current)
                changed[use.at] = replace(decided, findings=findings, use=current[use.at], as_expression=as_expression)
    proposal.changes = list(changed.values())
    return proposal


def _as_it_is(use: Use, change: Change | None) -> Use:
    """The setting with what was proposed for it already."""
    if change is None or change.is_added:
        return use
    from kasparro.ingestion.expression_paths import reads_of

    return replace(use, text=change.text, form="expression", reads=reads_of(change.text))


def _is_new_form(change: Change, current: Mapping[Place, Use]) -> bool:
    """Whether what was a column's name is an expression now."""
    return current[change.use.at].form == "column" and not change.is_added


def _decide(config: AnySourceConfig, finding: Drifted, use: Use, path: str) -> Change | Unchanged:
    if finding.kind != "field_renamed":
        if not any(is_within(each, path) for each in use.reads.paths):
            return Unchanged(finding, use.shown, "it reads another part of it", is_fine=True)
        verdict = judge(use, path, _types(finding.expected), _types(finding.seen), finding.limits)
        if verdict.text is None:
            return Unchanged(finding, use.shown, verdict.says + _told_formats(finding), verdict.is_fine)
        return Change((finding,), use, verdict.text)
    old, new = renamed(finding.subject, [path])
    reason = _fixed(config, use, old, new)
    if reason is not None:
        return Unchanged(finding, use.shown, reason)
    text = _reading_both(config, use, (old, new), chains_in(finding.payloads, new))
    read = text if isinstance(text, str) else use.text if text.is_fine else None
    if read is not None and use.at[0] != "ignore" and finds_nothing(read, (old, new), finding.payloads):
        return Unchanged(finding, use.shown, f"{read} finds nothing in payloads that have {new}: look at it by hand")
    if isinstance(text, str):
        return Change((finding,), use, text, is_added=use.at[0] == "ignore")
    return Unchanged(finding, use.shown, text.reason, is_fine=text.is_fine)


def _reading_both(config: AnySourceConfig, use: Use, rename: tuple[str, str], chains: Sequence[Names]) -> "str | _Left":
    """The setting's text that reads a field under both names; `chains` are the names by which payloads have the new."""
    old, new = rename
    if len(chains) > 1:
        ways = " and ".join(map(chain, chains[:2]))
        return _Left(f"payloads have {new} in two ways, {ways}: say by hand which one is meant")
    known = chains[0] if chains else None
    if use.at[0] == "ignore":
        if known is not None and use.form == "member" and any("." in name for name in known):
            return _Left(f"{chain(known)} has a dot in its name, and ignore parts names at dots")
        return use.text.replace(old, new, 1)
    if use.form == "column":
        return either(chain(known or [new]), chain([use.text]))
    if reads_both(use.text, old, new):
        return _Left("it reads both names already", is_fine=True)
    text = read_either(use.text, old, new, is_flat=isinstance(config, CsvSourceConfig), known=known)
    if text is None:
        return _Left(f"where {use.text} reads {old}, it cannot be told how to read {new} as well")
    return text


def _types(side: Mapping[str, Any]) -> Mapping[str, float]:
    """The types that a finding tells of; numbers in text that count time are such where only formats are told."""
    formats: Mapping[str, float] | None = side.get(_TIME_FORMAT)
    if formats is not None:
        return {"text number" if name == _COUNTED else "time": share for name, share in formats.items()}
    return side.get("types") or ({"number": 1.0} if "scale" in side else {})


def _told_formats(finding: Drifted) -> str:
    """The formats of times that a finding tells of."""
    was, now = (", ".join(sorted(side.get(_TIME_FORMAT) or ())) for side in (finding.expected, finding.seen))
    return f" (seen before: {was}; now: {now})" if was and now else ""


def _fixed(config: AnySourceConfig, use: Use, old: str, new: str) -> str | None:
    """Why a setting cannot read another field; None where it can."""
    if use.at[0] == "key":
        return (
            f"the key is fixed once there is data, so records without {old} are rejected. Ask the upstream to send it "
            f"as well, or load it as a new source, under another name, with the key {new}"
        )
    if use.at[0] == "version" and isinstance(config, CsvSourceConfig):
        return f"a version is one column: rows that are stored have {old}, new ones {new}. Have the file say both"
    if use.at[0] == "version" and config.ignore:
        return "a version must be a plain path where there is ignore, and no path reads both names"
    return None
