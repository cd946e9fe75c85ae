"""Why two runs differ, in plain words: the source, the mapping, the configuration or the code; and in which numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kasparro.core.differences import differences
from kasparro.schemas.pages.comparison import Cause, DriftBetween, MappingChange, Measure, RecordTotals
from kasparro.services.digest import as_text
from kasparro.services.read_passes import Reading

_COUNTERS: Final = (
    "fetched", "inserted", "updated", "unchanged", "duplicate", "rejected", "filtered", "deleted", "raw_written",
)  # fmt: skip
_PAYLOADS: Final = ("new", "changed", "deleted", "gone")
_MOST_CHANGES: Final = 200
_MAKING: Final = ("mapping", "code")
"""What makes other records, and another digest, of the same payloads."""
_HASHES: Final = {"mapping": "mapping_hash", "configuration": "config_hash", "code": "code_version"}


def counters(base: Reading, target: Reading) -> list[Measure]:
    """What became of records, over all runs of each reading."""
    measured = [measure(name, getattr(base.counters, name), getattr(target.counters, name)) for name in _COUNTERS]
    others = (("gone", base.gone, target.gone), ("batches", base.batches, target.batches),
              ("size_bytes", base.size_bytes, target.size_bytes))  # fmt: skip
    return [*measured, *(measure(*each) for each in others)]


def durations(base: Reading, target: Reading) -> list[Measure]:
    """Seconds in all, and in each stage summed over lanes."""
    stages = sorted({*base.stage_seconds, *target.stage_seconds})
    return [
        measure("duration", base.duration_seconds, target.duration_seconds),
        *(measure(name, base.stage_seconds.get(name), target.stage_seconds.get(name)) for name in stages),
    ]


def measure(name: str, base: float | None, target: float | None) -> Measure:
    """A number of both, with the difference where both are known."""
    delta = None if base is None or target is None else round(target - base, 6)
    relative = round(delta / base, 6) if delta is not None and base else None
    return Measure(name=name, base=base, target=target, delta=delta, relative=relative)


def mapping_changes(base: str | None, target: str | None) -> list[MappingChange]:
    """Places at which two mappings differ, from their canonical JSON; the first 200."""
    found, _ = differences(json.loads(base or "{}"), json.loads(target or "{}"), most=_MOST_CHANGES)
    return [MappingChange(pointer=each.pointer, change=each.change, before=each.before, after=each.after)
            for each in found]  # fmt: skip


def causes(base: Mapping[str, Any], target: Mapping[str, Any], totals: RecordTotals) -> list[Cause]:
    """Each with its hashes; `base` and `target` are rows of the runs."""
    digests = [None if run["digest"] is None else as_text(int(run["digest"])) for run in (base, target)]
    hashed = [_hashed(what, base[column], target[column]) for what, column in _HASHES.items()]
    has_other_records = _differ(*digests) and not any(cause.changed for cause in hashed if cause.what in _MAKING)
    changed = _payloads_changed(totals, has_other_records=has_other_records)
    detail = _of_source(totals)
    if has_other_records and not _counted(totals):
        detail = f"its live records are others, as their digests say: {detail}"
    return [Cause(what="source", changed=changed, base=digests[0], target=digests[1], detail=detail), *hashed]


def _payloads_changed(totals: RecordTotals, *, has_other_records: bool) -> bool | None:
    """Whether the source gave other records; None where that cannot be told. Where it is not told by the records,
    `has_other_records` does: digests that differ without another mapping or code.
    """
    return _counted(totals) or has_other_records or (None if None in _counts(totals) else False)


def _counts(totals: RecordTotals) -> list[int | None]:
    return [getattr(totals, name) for name in _PAYLOADS]


def _counted(totals: RecordTotals) -> bool:
    return any(_counts(totals))


def _differ(base: str | None, target: str | None) -> bool:
    return None not in (base, target) and base != target


def differs(found: Sequence[Cause], totals: RecordTotals, drift: Sequence[DriftBetween]) -> bool:
    """Whether records, mapping, configuration, code or the shape of payloads differ, as far as it can be told.

    Where records cannot be compared, the digests of what was there at the end decide; where they are not known either,
    nothing is known to differ.
    """
    source = found[0]
    records = _differ(source.base, source.target) if source.changed is None else source.changed
    return records or bool(totals.remapped) or bool(drift) or any(cause.changed for cause in found[1:])


def verdict(found: Sequence[Cause], totals: RecordTotals, rewritten: int) -> str:
    """One line: what changed, and what that did to records."""
    changed = [cause.what for cause in found if cause.changed]
    if "mapping" in changed and "configuration" in changed:
        changed.remove("configuration")  # which the mapping is a part of
    said = f"{_listed(changed)} changed" if changed else "nothing changed"
    if found[0].changed is None and totals.changed is None:
        said = f"{said}; records cannot be compared" if changed else "records cannot be compared, nothing else changed"
    elif found[0].changed is None and not changed:
        said = "nothing is known to have changed"
    parts = [found[0].detail] if found[0].changed else []
    if rewritten:
        parts.append(_of_mapping(totals, rewritten, is_mapping="mapping" in changed))
    elif not found[0].changed and totals.changed is not None and (changed or totals.gone is None):
        parts.append(_of_source(totals))
    return f"{said}: {'; '.join(parts)}" if parts else said


def _of_source(totals: RecordTotals) -> str:
    if totals.changed is None:
        return "records cannot be compared"
    told = [f"{getattr(totals, name):,} {name}" for name in _PAYLOADS if getattr(totals, name)]
    if totals.gone is None:
        return f"{', '.join(told) or 'what both have read has the payloads that it had'} (which are gone is not known)"
    return ", ".join(told) or "the same records with the same payloads"


def _of_mapping(totals: RecordTotals, rewritten: int, *, is_mapping: bool) -> str:
    if not is_mapping:
        times = "once" if rewritten == 1 else f"{rewritten:,} times"
        return f"{times} a record came back, or was written again, with the payload that it had"
    if totals.remapped is None:
        return "which records with the same payload became others by the mapping is not known"
    return f"{totals.remapped:,} record{'' if totals.remapped == 1 else 's'} with the same payload became others"


def _hashed(what: Any, base: str | None, target: str | None) -> Cause:
    known = base is not None and target is not None
    changed = base != target if known else None
    detail = {True: "changed", False: "the same", None: "not known"}[changed]
    return Cause(what=what, changed=changed, base=base, target=target, detail=detail)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
