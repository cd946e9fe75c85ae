"""Many payloads as JSON at once: the same bytes as `canonical.py` gives one by one, at a fraction of the time.

Objects with the same names share one template, and each name's values are encoded as one list, by functions in C.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Final, cast

from kasparro.core.canonical import UnstorableError, canonical_json, canonical_number, payload_json

_CHUNK: Final = 500
"""So many objects are encoded one by one when there is something odd about one of them."""
_PLAIN_CHARACTERS: Final = 60
"""A number without an exponent that is no longer than this is in the range of what can be stored."""
_EXPONENTS: Final = ("E", "N", "I")
"""What stands in the text of a Decimal that has an exponent, or is no number or infinite."""
_quote = json.encoder.encode_basestring


class OddError(Exception):
    """Something that only `canonical.py` can judge."""


@dataclass(frozen=True, slots=True)
class JsonTexts:
    """Of each object `payload_json` and `canonical_json`; both None of one that cannot be stored.

    Where all are equal, `canonical` is `exact`.
    """

    exact: list[str | None]
    canonical: list[str | None]

    def storable(self) -> "JsonTexts":
        """Without those that cannot be stored."""
        exact, canonical = ([text for text in texts if text is not None] for texts in (self.exact, self.canonical))
        return JsonTexts([*exact], [*canonical])


@dataclass(frozen=True, slots=True)
class Texts:
    """Of each value, as in JsonTexts."""

    exact: list[str]
    canonical: list[str]

    @property
    def differ(self) -> bool:
        return self.canonical is not self.exact

    def made(self, make: Callable[[list[str]], list[str]]) -> "Texts":
        """What `make` makes of both."""
        exact = make(self.exact)
        return Texts(exact, make(self.canonical) if self.differ else exact)


def encode_objects(objects: Sequence[Mapping[str, Any]]) -> JsonTexts:
    """The texts of all objects. What one holds that cannot be stored costs its neighbours nothing but time."""
    exact: list[str | None] = []
    canonical: list[str | None] = []
    differ = False
    for begin in range(0, len(objects), _CHUNK):
        chunk = list(objects[begin : begin + _CHUNK])
        texts = _chunk_texts(chunk)
        differ = differ or texts.canonical is not texts.exact
        exact += texts.exact
        canonical += texts.canonical
    return JsonTexts(exact, canonical if differ else exact)


def encode_numbers(numbers: Sequence[Decimal]) -> tuple[list[str], list[str]]:
    """The text of each number, and its canonical form. Raises UnstorableError when one cannot be stored."""
    try:
        texts = number_texts(numbers)
    except OddError:
        return list(map(str, numbers)), list(map(canonical_number, numbers))
    return texts.exact, texts.canonical


def _chunk_texts(objects: list[Mapping[str, Any]]) -> JsonTexts:
    try:
        texts = _objects(objects)
        _check_storable(texts.exact)
    except (OddError, RecursionError, TypeError, ValueError):
        pairs = list(map(_one_by_one, objects))
        return JsonTexts([exact for exact, _ in pairs], [canonical for _, canonical in pairs])
    return JsonTexts(cast("list[str | None]", texts.exact), cast("list[str | None]", texts.canonical))


def _check_storable(texts: list[str]) -> None:
    """Raises OddError for what may be a NUL, UnicodeEncodeError, a ValueError, for a lone surrogate."""
    text = "".join(texts)
    if not text.isascii():
        text.encode()
    if "\\u0000" in text:
        raise OddError


def _one_by_one(value: Mapping[str, Any]) -> tuple[str, str] | tuple[None, None]:
    try:
        return payload_json(value), canonical_json(value)
    except UnstorableError:
        return None, None


def value_texts(values: Sequence[Any]) -> Texts:
    """Values of any kind. Raises OddError."""
    kinds = set(map(type, values))
    if kinds <= _NUMBERS:
        return number_texts(values)
    if len(kinds) == 1:
        return _encoder(kinds.pop())(values)
    by_kind = {kind: _encoder(kind)([value for value in values if type(value) is kind]) for kind in kinds}
    own = list(map(type, values))

    def merged(texts: Mapping[type, list[str]]) -> list[str]:
        following: dict[type, Iterator[str]] = {kind: iter(each) for kind, each in texts.items()}
        return [next(following[kind]) for kind in own]

    exact = merged({kind: texts.exact for kind, texts in by_kind.items()})
    differ = any(texts.differ for texts in by_kind.values())
    return Texts(exact, merged({kind: texts.canonical for kind, texts in by_kind.items()}) if differ else exact)


def _encoder(kind: type) -> Callable[[Sequence[Any]], Texts]:
    if kind not in _ENCODERS:
        raise OddError
    return _ENCODERS[kind]


def _same(function: Callable[[Any], str]) -> Callable[[Sequence[Any]], Texts]:
    """For values whose canonical form is their form."""

    def encode(values: Sequence[Any]) -> Texts:
        texts = list(map(function, values))
        return Texts(texts, texts)

    return encode


def number_texts(values: Sequence[Any]) -> Texts:
    """Integers and decimals. Raises OddError, or ValueError for an integer that Python does not print."""
    exact = list(map(str, values))
    if max(map(len, exact), default=0) > _PLAIN_CHARACTERS:
        raise OddError
    joined = ",".join(exact)
    if any(letter in joined for letter in _EXPONENTS):
        canonical = list(map(_canonical, values, exact))
    elif "." in joined or "-" in joined:
        canonical = [_trimmed(text) if text[-1] == "0" else text for text in exact]
    else:
        canonical = exact
    return Texts(exact, exact if canonical == exact else canonical)


def _canonical(value: Decimal | int, text: str) -> str:
    try:
        return text if text.isdigit() else canonical_number(value)
    except UnstorableError:
        raise OddError from None


def _trimmed(text: str) -> str:
    """The canonical form of a number that has no exponent."""
    shown = text.rstrip("0").rstrip(".") if text[-1] == "0" and "." in text else text
    return "0" if shown == "-0" else shown


def _lists(values: Sequence[list[Any]]) -> Texts:
    def joined(texts: list[str]) -> list[str]:
        following = iter(texts)
        return ["[" + ",".join(islice(following, len(value))) + "]" for value in values]

    return value_texts(list(chain.from_iterable(values))).made(joined) if any(values) else _same(lambda _: "[]")(values)


def _objects(values: Sequence[Mapping[str, Any]]) -> Texts:
    """Objects, each by what those with its names have in common."""
    own: list[tuple[str, ...]] = list(map(tuple, values))
    if own.count(own[0]) == len(own):
        return _alike(values, own[0])
    shapes: dict[tuple[str, ...], list[int]] = {}
    for place, names in enumerate(own):
        shapes.setdefault(names, []).append(place)
    exact, canonical, differ = [""] * len(values), [""] * len(values), False
    for names, places in shapes.items():
        texts = _alike([values[place] for place in places], names)
        differ = differ or texts.differ
        for place, one, other in zip(places, texts.exact, texts.canonical, strict=True):
            exact[place], canonical[place] = one, other
    return Texts(exact, canonical if differ else exact)


def _alike(values: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> Texts:
    """Objects that all have these names."""
    if not names:
        return _same(lambda _: "{}")(values)
    ordered = sorted(names)
    members = [value_texts(list(map(itemgetter(name), values))) for name in ordered]
    exact = join_members(ordered, [texts.exact for texts in members])
    if not any(texts.differ for texts in members):
        return Texts(exact, exact)
    return Texts(exact, join_members(ordered, [texts.canonical for texts in members]))


def join_members(names: Sequence[str], members: Sequence[Sequence[str]]) -> list[str]:
    """Objects with these names, in this order; `members` has the texts of all their values for each name."""
    before = [f",{_quote(name)}:" for name in names]
    before[0] = "{" + before[0][1:]
    pieces = chain.from_iterable(zip(map(repeat, before), members, strict=True))
    return list(map("".join, zip(*pieces, repeat("}"))))


_NUMBERS: Final = frozenset((int, Decimal))
_ENCODERS: Final[dict[type, Callable[[Sequence[Any]], Texts]]] = {
    str: _same(_quote),
    bool: _same({True: "true", False: "false"}.__getitem__),
    type(None): _same(lambda _: "null"),
    int: number_texts,
    Decimal: number_texts,
    dict: _objects,
    list: _lists,
}
"""By exact type: of a subclass, `canonical.py` knows more."""
