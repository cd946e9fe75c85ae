"""What differs between a run's payloads and the shape that was accepted."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from kasparro.ingestion.drift.findings import Finding, Shift
from kasparro.ingestion.drift.number_shifts import range_shift, scale_shift
from kasparro.ingestion.drift.presence import Sides, Turn
from kasparro.ingestion.drift.profile import FieldProfile, Profile, parent_of
from kasparro.ingestion.drift.renames import Rename, is_container, is_rejected, pair
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.shifts import duplicate_shift, enumeration_shift, format_shift, null_shift
from kasparro.ingestion.drift.thresholds import FEWEST_RECORDS
from kasparro.ingestion.drift.type_changes import mix_shift, type_change
from kasparro.ingestion.drift.types import families, filled, rounded


def compare(shape: Shape, profile: Profile, mapped: Collection[str], rejected: Collection[str] = ()) -> list[Finding]:
    """The findings, by field; none where either side has fewer than FEWEST_RECORDS records.

    `mapped` are the paths that the mapping uses. What is told of an object or a list is not told again of its members.
    `rejected` are renames that somebody has rejected, as `old -> new`: they are not proposed again.
    """
    if min(shape.known.records, profile.records) < FEWEST_RECORDS:
        return []
    sides = Sides(shape.known, profile)
    gone, come = sides.gone(), sides.come()
    moves = _moves(pair(gone, come, rejected), gone, come, rejected)
    explained = {turn.path for move in moves for turn in (*move.olds, *move.news)}
    changes, closed = _changes(sides, {turn.path for turn in (*gone, *come)}, mapped)
    found = [*(_renamed(move, mapped) for move in moves), *changes]
    found += [_missing(turn, mapped) for turn in _topmost(gone, explained, closed)]
    found += [_added(turn, mapped) for turn in _topmost(come, explained, closed)]
    return sorted(found, key=lambda finding: (finding.field, finding.kind))


@dataclass(frozen=True, slots=True)
class _Move:
    """A rename of a field, or of an object with all that is in it."""

    field: str
    renames: Sequence[Rename]
    olds: Sequence[Turn]
    news: Sequence[Turn]


def _moves(
    renames: Sequence[Rename], gone: Sequence[Turn], come: Sequence[Turn], rejected: Collection[str]
) -> list[_Move]:
    """The renames; those of all members of an object, under the same names, as one of the object."""
    moves: list[_Move] = []
    left = list(renames)
    for old in gone:
        for new in come:
            if is_rejected(old.path, new.path, rejected):
                continue
            of_members = [each for each in left if _goes_along(each, old, new)]
            members = [turn for turn in gone if turn.path.startswith(old.path + ".") and not is_container(turn)]
            if is_container(old) and is_container(new) and of_members and len(of_members) * 2 > len(members):
                olds = [turn for turn in gone if _is_within(turn.path, old.path)]
                news = [turn for turn in come if _is_within(turn.path, new.path)]
                moves.append(_Move(f"{old.path} -> {new.path}", of_members, olds, news))
                left = [each for each in left if each.old.path not in {turn.path for turn in olds}]
    moves += [_Move(each.field, [each], _within(each.old, gone), _within(each.new, come)) for each in left]
    return moves


def _goes_along(rename: Rename, old: Turn, new: Turn) -> bool:
    """Whether the field has the same place below the new object as it had below the old one."""
    prefix, other_prefix = old.path + ".", new.path + "."
    old_path, new_path = rename.old.path, rename.new.path
    below = old_path.startswith(prefix) and new_path.startswith(other_prefix)
    return below and old_path.removeprefix(prefix) == new_path.removeprefix(other_prefix)


def _within(turn: Turn, turns: Sequence[Turn]) -> list[Turn]:
    return [each for each in turns if _is_within(each.path, turn.path)]


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith((top + ".", top + "[]"))


def _topmost(turns: Sequence[Turn], explained: Collection[str], closed: Collection[str]) -> Iterator[Turn]:
    """Those that are not told of otherwise: as renamed, or with the object or list that they stand in."""
    told = {turn.path for turn in turns if turn.path not in explained and not _is_taken_apart(turn, explained)}
    for turn in turns:
        if turn.path in told and not any(path in told or path in closed for path in _above(turn.path)):
            yield turn


def _is_taken_apart(turn: Turn, explained: Collection[str]) -> bool:
    """Whether a part of an object is told of as renamed: then its other fields are told of one by one."""
    return is_container(turn) and any(_is_within(path, turn.path) for path in explained)


def _above(path: str) -> Iterator[str]:
    """The objects and lists that a field stands in."""
    while path := parent_of(path):
        yield path


def _changes(sides: Sides, turned: set[str], mapped: Collection[str]) -> tuple[list[Finding], set[str]]:
    """What has changed in fields that are still there, and those of which everything is told by that."""
    found: list[Finding] = []
    closed: set[str] = set()
    for path in sides.paths:
        before, after = sides.before.fields.get(path), sides.after.fields.get(path)
        if before is None or after is None or path in turned or not closed.isdisjoint(_above(path)):
            continue
        if (change := type_change(before, after)) is not None:
            found.append(_of_shifts("type_changed", path, [change], mapped))
            closed.add(path)
        elif shifts := _shifts(before, after, _sizes(sides, path)):
            found.append(_of_shifts("value_shift", path, shifts, mapped))
            if filled(after) == 0:
                closed.add(path)
    return found, closed


def _sizes(sides: Sides, path: str) -> tuple[int, int]:
    """How many records the nulls of a field are a share of; of elements and names that are data, of none."""
    return (0, 0) if "[]" in path or "*" in path else sides.parents(path)


def _shifts(before: FieldProfile, after: FieldProfile, sizes: tuple[int, int]) -> list[Shift]:
    mix = mix_shift(before, after)
    shifts = [null_shift(before, after, sizes), mix, format_shift(before, after), duplicate_shift(before, after)]
    if mix is None:
        shifts += [enumeration_shift(before, after), scale_shift(before, after) or range_shift(before, after)]
    return [shift for shift in shifts if shift is not None]


def _renamed(move: _Move, mapped: Collection[str]) -> Finding:
    count = len(move.renames)
    old, new = move.olds[0], move.news[0]
    parts = {part: round(sum(each.parts[part] for each in move.renames) / count, 4) for part in move.renames[0].parts}
    confidence = round(sum(each.confidence for each in move.renames) / count, 4)
    return Finding(
        "field_renamed", move.field, _described(old), _described(new), round(new.share, 4), confidence, parts,
        any(_is_mapped(turn.path, mapped) for turn in move.olds), new.profile.present.first, new.profile.present.last,
    )  # fmt: skip


def _missing(turn: Turn, mapped: Collection[str]) -> Finding:
    parts = {"values": round(turn.sure, 4), "timing": round(1 - turn.moment, 4)}
    return Finding(
        "field_missing", turn.path, _described(turn), {"present": 0.0}, parts["timing"], parts["values"], parts,
        _is_mapped(turn.path, mapped),
    )  # fmt: skip


def _added(turn: Turn, mapped: Collection[str]) -> Finding:
    parts = {"values": round(turn.sure, 4), "timing": round(1 - turn.moment, 4)}
    return Finding(
        "field_added", turn.path, {"present": 0.0}, _described(turn), round(turn.share, 4), parts["values"], parts,
        _is_mapped(turn.path, mapped), turn.profile.present.first, turn.profile.present.last,
    )  # fmt: skip


def _described(turn: Turn) -> dict[str, object]:
    return {"present": round(turn.share, 4), "types": rounded(families(turn.profile)) if filled(turn.profile) else {}}


def _of_shifts(kind: str, path: str, shifts: Sequence[Shift], mapped: Collection[str]) -> Finding:
    surest = max(shifts, key=lambda shift: (shift.sure, shift.share))
    parts = {"name": 1.0, "type": round(min(shift.type for shift in shifts), 4), "values": surest.sure}
    return Finding(
        "type_changed" if kind == "type_changed" else "value_shift", path,
        {shift.aspect: shift.expected for shift in shifts}, {shift.aspect: shift.seen for shift in shifts},
        round(max(shift.share for shift in shifts), 4), surest.sure, parts, _is_mapped(path, mapped),
        surest.first, surest.last,
    )  # fmt: skip


def _is_mapped(path: str, mapped: Collection[str]) -> bool:
    """Whether the mapping uses the field, or something in it."""
    return any(_is_within(each, path) for each in mapped)
