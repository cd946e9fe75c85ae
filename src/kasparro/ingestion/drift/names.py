"""How alike two field paths are: words in any case style, abbreviations, plurals, words too many."""

import re
from functools import lru_cache
from typing import Final

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
_WEAK: Final = frozenset(("at", "on", "in", "of", "the", "a", "is", "by", "value", "field", "new", "col"))
"""Words that say little: `created` is `created_at`."""
_WEAK_WEIGHT: Final = 0.3
_SHORT: Final = {
    "ts": "timestamp", "dt": "date", "no": "number", "nr": "number", "id": "identifier", "tz": "timezone",
    "lvl": "level", "num": "number", "img": "image", "tel": "telephone", "uri": "url", "mod": "modified",
    "lng": "longitude", "ccy": "currency", "freq": "frequency", "org": "organization",
}  # fmt: skip
"""Abbreviations that are no prefix of their word, or too short to be told by letters."""
_MOVED: Final = 0.93
"""A field of the same name in another object."""
_SPELLED: Final = 0.8
"""Words that are less alike than this, letter by letter, are other words."""


@lru_cache(maxsize=4_096)
def name_similarity(one: str, other: str) -> float:
    """0 to 1, for two paths: of their last names, or of all their names together."""
    paths = [re.split(r"\[\]\.?|\.", path.removesuffix("[]")) for path in (one, other)]
    last = _similarity(*(words(path[-1]) for path in paths))
    if paths[0][:-1] == paths[1][:-1]:
        return last
    whole = _similarity(*([word for name in path for word in words(name)] for path in paths))
    return max(whole, last * _MOVED)


def words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)] or [name.lower()]


def _similarity(ones: list[str], others: list[str]) -> float:
    joined, other_joined = "".join(ones), "".join(others)
    if joined == other_joined:
        return 1.0
    if _is_acronym(joined, others) or _is_acronym(other_joined, ones):
        return 0.9
    pairs = sorted(((_word(a, b), i, j) for i, a in enumerate(ones) for j, b in enumerate(others)), reverse=True)
    weight = sum(map(_weight, ones)) + sum(map(_weight, others))
    matched, taken, other_taken = 0.0, set[int](), set[int]()
    for alike, i, j in pairs:
        if alike and i not in taken and j not in other_taken:
            taken.add(i)
            other_taken.add(j)
            matched += alike * (_weight(ones[i]) + _weight(others[j]))
    return max(matched / weight, _word(joined, other_joined) * 0.95)


def _weight(word: str) -> float:
    return _WEAK_WEIGHT if word in _WEAK else 1.0


def _is_acronym(letters: str, of: list[str]) -> bool:
    return len(of) > 1 and letters == "".join(word[:1] for word in of)


def _word(one: str, other: str) -> float:
    """How alike two words are."""
    if one == other:
        return 1.0
    short, long = sorted((one, other), key=len)
    if _SHORT.get(short) == long or _SHORT.get(short) == _SHORT.get(long, long):
        return 0.95
    if long in (short + "s", short + "es"):
        return 0.97
    if len(short) >= 3 and len(long) >= len(short) + 3 and long.startswith(short):
        return 0.94
    if _is_skeleton(short, long):
        return 0.9
    return _spelling(one, other)


def _is_skeleton(short: str, long: str) -> bool:
    """`qty` of `quantity`: the first letter, then consonants in their order."""
    if len(short) < 3 or len(short) > 5 or short[0] != long[0] or set(short[1:]) & set("aeiou"):
        return False
    letters = iter(long)
    return all(letter in letters for letter in short)


def _spelling(one: str, other: str) -> float:
    if min(len(one), len(other)) < 4 or one[0] != other[0]:
        return 0.0
    from rapidfuzz.distance import DamerauLevenshtein

    alike = DamerauLevenshtein.normalized_similarity(one, other)
    return alike if alike >= _SPELLED else 0.0
