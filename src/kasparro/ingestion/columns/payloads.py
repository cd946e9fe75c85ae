"""JSON payloads as columns: what stands at each path in many of them at once, and their texts joined from that.

Only payloads that all have the same names, in them and in the objects in them, are taken so; others stay what they are.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

from kasparro.core.json_columns import OddError, Texts, number_texts, value_texts
from kasparro.ingestion.columns.json_text import Pieces, joined, member, quote, stored_order, text_pieces
from kasparro.ingestion.source import Payload

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

_ESCAPED: Final = bytes({*range(0x20), *b'"\\'})
"""Bytes that JSON escapes in text."""
_NUMBERS: Final = frozenset((int, Decimal))
_NUL: Final = "\\u0000"
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """What stands at one path: `exact` and `canonical` are its JSON, null where it is null.

    `texts` are texts that JSON leaves as they are, numbers or truth values as text; `lists` are lists of such texts;
    `kind` is the type of what is not null (None: of several types, or of none that has columns).
    """

    exact: Pieces
    canonical: Pieces
    kind: type | None = None
    texts: pa.Array | None = None
    lists: pa.ListArray | None = None


class KnownPayloads(list[Payload]):
    """Payloads with the members that were found in them."""

    def __init__(self, payloads: Iterable[Payload], members: dict[Path, Member]) -> None:
        super().__init__(payloads)
        self.members = members


def member_at(payloads: Sequence[Payload], path: Path | None) -> Member | None:
    """What stands at a path, where that is known."""
    return payloads.members.get(path) if path is not None and isinstance(payloads, KnownPayloads) else None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Of each payload `payload_json` and `canonical_json`."""

    payloads: KnownPayloads
    exact: pa.Array
    canonical: pa.Array


def encode_payloads(payloads: list[Payload], *, all_stored: bool = False) -> Encoded | None:
    """All payloads as columns; None where they are not alike, or where one cannot be stored.

    With `all_stored` the members of `exact` have the order in which jsonb keeps them.
    """
    found = _Found({}, stored_order if all_stored else list)
    try:
        whole = _object(payloads, (), found)
    except (OddError, RecursionError, TypeError, ValueError):
        return None
    exact = joined(whole.exact)
    canonical = exact if whole.canonical is whole.exact else joined(whole.canonical)
    return Encoded(KnownPayloads(payloads, found.members), exact, canonical)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found so far; `order` is that of an object's members, given their sorted names."""

    members: dict[Path, Member]
    order: Callable[[list[str]], list[str]]


def _object(values: list[dict[str, Any]], path: Path, found: _Found) -> Member:
    """Objects that are alike. Raises OddError for others, UnicodeEncodeError for a name that is no UTF-8."""
    names = sorted(values[0]) if values else []
    if not names or set(map(len, values)) != {len(names)} or _NUL.encode() in quote("".join(names)).encode():
        raise OddError
    try:
        columns = [list(map(itemgetter(name), values)) for name in names]
    except KeyError:
        raise OddError from None
    members = {name: _member(column, (*path, name), found) for name, column in zip(names, columns, strict=True)}
    found.members.update({(*path, name): each for name, each in members.items()})
    order = found.order(names)
    exact = _braced({name: members[name].exact for name in order})
    if order == names and all(each.canonical is each.exact for each in members.values()):
        return Member(exact, exact)
    return Member(exact, _braced({name: each.canonical for name, each in members.items()}))


def _braced(members: Mapping[str, Pieces]) -> Pieces:
    """Objects with these members."""
    pieces = [piece for name, value in members.items() for piece in (",", *member(name, _filled(value)))]
    return ("{", *pieces[1:], "}")


def _filled(value: Pieces) -> Pieces:
    """JSON of each, `null` where there is nothing."""
    if not any(not isinstance(piece, str) and piece.null_count for piece in value):
        return value
    return (pc.fill_null(joined(value), "null"),)


def _member(values: list[Any], path: Path, found: _Found) -> Member:
    kinds = set(map(type, values))
    has_nulls = type(None) in kinds
    kinds.discard(type(None))
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    if not kinds:
        nothing = pa.nulls(len(values), pa.string())
        return Member((nothing,), (nothing,), texts=nothing)
    if kind is dict and not has_nulls and all(values):
        return _object(values, path, found)
    if kind in _PLAIN:
        return _PLAIN[kind](values)
    if kinds <= _NUMBERS:
        return _numbers(values)
    if kind is list and not has_nulls and set(map(type, chain.from_iterable(values))) == {str}:
        return _lists(values)
    return _others(values)


def _texts(values: list[str | None]) -> Member:
    texts = pa.array(values, pa.string())
    if _needs_escape(texts):
        return _others(values)
    pieces = text_pieces(texts)
    return Member(pieces, pieces, str, texts)


def _needs_escape(texts: pa.Array) -> bool:
    data = texts.buffers()[2]
    content = b"" if data is None else data.to_pybytes()
    return len(content.translate(None, _ESCAPED)) != len(content)


def _booleans(values: list[bool | None]) -> Member:
    texts = pa.array(values, pa.bool_()).cast(pa.string())
    return Member((texts,), (texts,), bool, texts)


def _integers(values: list[int | None]) -> Member:
    """Raises OverflowError for what has more than 64 bits."""
    try:
        texts = pa.array(values, pa.int64()).cast(pa.string())
    except OverflowError:
        return _numbers(values)
    return Member((texts,), (texts,), int, texts)


def _numbers(values: Sequence[Decimal | int | None]) -> Member:
    exact, canonical = _arrays(number_texts([value for value in values if value is not None]), values)
    return Member((exact,), (exact,) if canonical is exact else (canonical,), Decimal, exact)


def _lists(values: list[list[str]]) -> Member:
    texts = pa.array(list(chain.from_iterable(values)), pa.string())
    if _needs_escape(texts):
        return _others(values)
    offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, texts)
    pieces: Pieces = ('["', pc.binary_join(lists, '","'), '"]')
    if not all(values):
        pieces = (pc.if_else(pc.equal(pc.list_value_length(lists), 0), "[]", joined(pieces)),)
    return Member(pieces, pieces, list, lists=lists)


def _others(values: Sequence[Any]) -> Member:
    """Values of any types, each encoded by itself. Raises OddError for what must be judged one by one."""
    exact, canonical = _arrays(value_texts([value for value in values if value is not None]), values)
    return Member((exact,), (exact,) if canonical is exact else (canonical,))


def _arrays(texts: Texts, values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    """The texts, exact and canonical, null where the values are None."""
    if _NUL in "".join(texts.exact):
        raise OddError
    exact = _array(texts.exact, values)
    return exact, exact if texts.canonical is texts.exact else _array(texts.canonical, values)


def _array(texts: list[str], values: Sequence[Any]) -> pa.Array:
    if len(texts) == len(values):
        return pa.array(texts, pa.string())
    following = iter(texts)
    return pa.array([None if value is None else next(following) for value in values], pa.string())


_PLAIN: Final[dict[type | None, Callable[[list[Any]], Member]]] = {str: _texts, bool: _booleans, int: _integers}
