"""Which missing field is which added one under a new name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from kasparro.ingestion.drift.assignment import assign
from kasparro.ingestion.drift.names import name_similarity
from kasparro.ingestion.drift.presence import Turn
from kasparro.ingestion.drift.similarity import types_alike, values_alike
from kasparro.ingestion.drift.thresholds import MOST_CANDIDATES, RENAME_CONFIDENCE, RENAME_MARGIN
from kasparro.ingestion.drift.types import filled

_STRANGE: Final = 0.3
"""Values that are less alike than this speak against a rename, whatever the names."""
_SUREST_NAME: Final = 0.97
"""Even the same name in another object is not proof alone."""


@dataclass(frozen=True, slots=True)
class Rename:
    """A pair, its confidence, and the parts of that: `name, type, values, timing`, each 0 to 1."""

    old: Turn
    new: Turn
    confidence: float
    parts: dict[str, float]

    @property
    def field(self) -> str:
        return f"{self.old.path} -> {self.new.path}"


def pair(gone: Sequence[Turn], come: Sequence[Turn], rejected: Collection[str] = ()) -> list[Rename]:
    """The renames among fields that are no objects: one assignment over all pairs, by confidence.

    `rejected` are pairs, as `Rename.field` names them, that are none; nor is the old name of one the new one of
    another.
    """
    olds, news = _most_frequent(gone), _most_frequent(come)
    pairs = [[_rename(old, new) for new in news] for old in olds]
    rivals = [
        [0.0 if is_rejected(each.old.path, each.new.path, rejected) else each.confidence for each in row]
        for row in pairs
    ]
    scores = [[score if score >= RENAME_CONFIDENCE else 0.0 for score in row] for row in rivals]
    chosen = assign(scores)
    return [pairs[i][j] for i, j in chosen if not _has_rival(rivals, chosen, i, j)]


def is_rejected(old: str, new: str, rejected: Collection[str]) -> bool:
    """Whether somebody has said of both names that they are no partners: of one another, or of others."""
    return any(each.startswith(f"{old} -> ") for each in rejected) and any(
        each.endswith(f" -> {new}") for each in rejected
    )


def _rename(old: Turn, new: Turn) -> Rename:
    name = name_similarity(old.path, new.path)
    of_type = min(types_alike(old.profile, new.profile), types_alike(old.content, new.content))
    likeness = values_alike(old.content, new.content)
    timing = _timing(old, new)
    by_name = min(name, _SUREST_NAME) ** 2
    if likeness.alike < _STRANGE and old.content.values.count and new.content.values.count:
        by_name *= 0.6 + 0.4 * likeness.alike / _STRANGE
    evidence = 1 - (1 - by_name) * (1 - likeness.telling * likeness.alike**2)
    parts = {"name": name, "type": of_type, "values": likeness.alike, "timing": timing}
    confidence = evidence * of_type * timing
    return Rename(old, new, round(confidence, 4), {part: round(value, 4) for part, value in parts.items()})


def _timing(old: Turn, new: Turn) -> float:
    """Whether the one goes when the other comes: on as many records, with as many values, and not beside it."""
    presence = 1 - abs(old.share - new.share)
    values = 1 - abs(_filled_share(old) - _filled_share(new))
    together = 1 - abs(old.moment - new.moment)
    return (0.4 + 0.6 * presence) * (0.7 + 0.3 * values) * together


def _filled_share(turn: Turn) -> float:
    return filled(turn.profile) / max(1, turn.profile.present.count)


def _has_rival(scores: list[list[float]], chosen: list[tuple[int, int]], i: int, j: int) -> bool:
    """Whether another field that has no partner would do as well."""
    rows, columns = {row for row, _ in chosen}, {column for _, column in chosen}
    enough = scores[i][j] - RENAME_MARGIN
    others = [score for column, score in enumerate(scores[i]) if column not in columns]
    others += [row[j] for place, row in enumerate(scores) if place not in rows]
    return any(score >= enough for score in others)


def _most_frequent(turns: Sequence[Turn]) -> list[Turn]:
    candidates = [turn for turn in turns if not is_container(turn)]
    return sorted(candidates, key=lambda turn: (-turn.profile.present.count, turn.path))[:MOST_CANDIDATES]


def is_container(turn: Turn) -> bool:
    """Whether the field is mostly objects: then its members are paired."""
    return turn.profile.count("object") * 2 > filled(turn.profile)
