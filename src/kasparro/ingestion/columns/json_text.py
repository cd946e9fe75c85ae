"""JSON objects and lists of many records at once: members that stand beside each other are joined in one step."""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take

Pieces = tuple[str | pa.Array, ...]
"""Texts and string columns whose concatenation is one JSON value of each record; null in a column: there is none."""
quote = json.encoder.encode_basestring


def stored_order(names: Iterable[str]) -> list[str]:
    """The order in which jsonb keeps the members of an object; to sort them is a third of the server's work with it."""
    return sorted(names, key=lambda name: (len(name.encode()), name.encode()))


def text_pieces(texts: pa.Array) -> Pieces:
    """Texts that need no escape, between quotes."""
    return ('"', texts, '"')


def member(name: str, value: Pieces) -> Pieces:
    """A member of an object."""
    return (f"{quote(name)}:", *value)


def enclosed(members: Sequence[Pieces], begin: str, end: str) -> pa.Array:
    """Members between brackets, commas between them; those that a record does not have are left out.

    There is at least one column among the members.
    """
    pieces: list[str | pa.Array] = [begin]
    for place, each in enumerate(members):
        if may_be_null(each):
            pieces.append(joined([",", *each]))
        else:
            pieces += ["," if place else "", *each]
    text = joined([*pieces, end], null_handling="replace")
    if members and may_be_null(members[0]):  # whatever comes first has a comma that it should not have
        return pc.replace_substring(text, f"{begin},", begin, max_replacements=1)
    return text


def unless_empty(members: Sequence[Pieces], begin: str, end: str) -> pa.Array:
    """A list or object, null where there is nothing in it."""
    whole = enclosed(members, begin, end)
    if not all(map(may_be_null, members)):
        return whole
    empty = pc.equal(pc.binary_length(whole), len(begin + end))
    return pc.if_else(empty, pa.scalar(None, pa.string()), whole)


def may_be_null(value: Pieces) -> bool:
    """Whether some record does not have the value."""
    return any(not isinstance(piece, str) and piece.null_count for piece in value)


def joined(pieces: Iterable[str | pa.Array], *, null_handling: str = "emit_null") -> pa.Array:
    """Columns and texts one after another; texts that meet are made one. Null where a column is, unless that counts as
    an empty text ("replace").
    """
    merged: list[Any] = [""]
    for piece in pieces:
        if isinstance(piece, str) and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return pc.binary_join_element_wise(*merged, "", null_handling=null_handling, null_replacement="")
