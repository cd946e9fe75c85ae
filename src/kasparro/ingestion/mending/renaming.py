"""A JMESPath expression that reads a field under its new name, and under its old one where there is no new one.

Stored payloads have the old name, and replay reads them by the same mapping: `properties.mag` becomes
`not_null(properties.magnitude, properties.mag)`. That is JMESPath's own function, and takes the first that is not null;
`||` would pass over false, empty texts and empty lists as well.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, cast

from jmespath import lexer

from kasparro.ingestion.drift.accepted import is_within
from kasparro.ingestion.drift.from_payloads import member_path
from kasparro.ingestion.drift.profile import ROOT, parent_of
from kasparro.ingestion.expression_paths import reads_of
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

Names = tuple[str, ...]
"""The names of members that lead to a field, the outermost first."""
_NAMES: Final = ("unquoted_identifier", "quoted_identifier")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPENING: Final = {"lparen": "rparen", "lbracket": "rbracket", "filter": "rbracket", "lbrace": "rbrace"}
_OPERANDS: Final = (*_NAMES, "rparen", "rbracket", "rbrace", "flatten", "star", "current")
"""Behind these, `[` begins an index or a slice, and no list."""


@dataclass(frozen=True, slots=True)
class _Token:
    type: str
    value: Any
    start: int
    end: int


@dataclass(slots=True)
class _Scope:
    """What stands between brackets: whether names there are looked up in the payload itself, and whose arguments."""

    is_root: bool
    function: str | None = None
    begins_at_root: bool = False


def chain(names: Sequence[str]) -> str:
    """The JMESPath expression for a member of members."""
    return ".".join(name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)


def either(new: str, old: str) -> str:
    """The expression for the first of two that is not null."""
    return f"not_null({new}, {old})"


def chains_in(payloads: Iterable[Mapping[str, Any]], path: str) -> list[Names]:
    """How payloads have a path, which tells names with dots in them from members of members: each chain of names."""
    return list(dict.fromkeys(names for payload in payloads for names in _chains(payload, ROOT, path)))


def read_either(
    expression: str, old: str, new: str, *, is_flat: bool = False, known: Names | None = None
) -> str | None:
    """The expression with the field at the path `old` read under the path `new` first, wherever it is read.

    None where some place cannot be changed so that this is certain: inside a filter, behind a pipe, in a list's
    elements. In rows (`is_flat`) a path is the name of a column, dots and all. `known` are the names that lead to the
    new one; without them, a path with a dot in it that may be either name or member is not written.
    """
    text = new_alone = expression
    for start, end, names, is_argument in reversed(_places(expression, old)):
        renamed = known or ((new,) if is_flat else _names_of(new, old, names))
        if renamed is None:
            return None
        written = text[start:end]
        replaced = f"{chain(renamed)}, {written}" if is_argument else either(chain(renamed), written)
        text = text[:start] + replaced + text[end:]
        new_alone = new_alone[:start] + chain(renamed) + new_alone[end:]
    # read under the new name alone, nothing of the old one may be left
    return text if _compiles(text) and _reads(text, new) and not _reads(new_alone, old) else None


def finds_nothing(expression: str, rename: tuple[str, str], payloads: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an expression that reads nothing but a renamed field gives null for all payloads that have a value there
    under the new name.
    """
    if not all(any(is_within(path, top) for top in rename) for path in reads_of(expression).paths):
        return False
    compiled, found = compile_expression(expression), False
    for payload in payloads:
        for names in _chains(payload, ROOT, rename[1]):
            if reduce(lambda value, name: value[name], names, cast("Any", payload)) is None:
                continue
            found = True
            try:
                if evaluate(compiled, payload) is not None:
                    return False
            except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
                return False  # it was found, and is no good value
    return found


def reads_both(expression: str, old: str, new: str) -> bool:
    """Whether nothing needs the old field where the new one would not do as well."""
    reads = reads_of(expression)
    needs = [need for need in reads.needs if any(is_within(path, old) for path in need)]
    return _reads(expression, new) and all(any(is_within(path, new) for path in need) for need in needs)


def _reads(expression: str, top: str) -> bool:
    return any(is_within(path, top) for path in reads_of(expression).paths)


def _compiles(expression: str) -> bool:
    try:
        compile_expression(expression)
    except ValueError:
        return False
    return True


def _names_of(new: str, old: str, names: Sequence[str]) -> Names | None:
    """The names that lead to the new path, given those that lead to the old one; None where they cannot be told."""
    if "*" in new.split(".") or "[]" in new:
        return None
    above = parent_of(old)
    is_beside = len(names) > 1 and bool(above) and new.startswith(f"{above}.")
    own = new.removeprefix(f"{above}.") if is_beside else new
    if "." in own:
        return None
    return (*names[:-1], own) if is_beside else (own,)


def _chains(value: Mapping[str, Any], at: str, path: str) -> Iterator[Names]:
    for name, member in value.items():
        here = member_path(at, name)
        if here == path:
            yield (name,)
        elif path.startswith(f"{here}.") and isinstance(member, dict):
            yield from ((name, *rest) for rest in _chains(cast("dict[str, Any]", member), here, path))


def _places(expression: str, old: str) -> list[tuple[int, int, list[str], bool]]:
    """Where the field is read from the payload itself: start, end, its names, and whether as argument of not_null."""
    tokens = _tokens(expression)
    found: list[tuple[int, int, list[str], bool]] = []
    scopes = [_Scope(is_root=True, begins_at_root=True)]
    index = 0
    while index < len(tokens):
        before = tokens[index - 1].type if index else None
        names = _chain_at(tokens, index) if tokens[index].type in _NAMES and before != "dot" else []
        if not names:
            _enter_or_leave(scopes, tokens, index)
            index += 1
            continue
        names = names[:1] if before == "not" else names  # `!a.b` is `(!a).b`
        count = _leading(names, old)
        behind = tokens[index + 2 * len(names) - 1].type
        if count and scopes[-1].is_root and not (behind == "colon" and before in ("lbrace", "comma")):
            last = tokens[index + 2 * count - 2]
            whole = count == len(names) and before in ("lparen", "comma") and behind in ("comma", "rparen")
            is_argument = whole and scopes[-1].function == "not_null"
            found.append((tokens[index].start, last.end, names[:count], is_argument))
        index += 2 * len(names) - 1
    return found


def _leading(names: Sequence[str], old: str) -> int:
    """How many of the names lead to the path; 0 where none do."""
    paths = (reduce(member_path, names[:count], ROOT) for count in range(1, len(names) + 1))
    return next((count for count, path in enumerate(paths, 1) if path == old), 0)


def _chain_at(tokens: Sequence[_Token], index: int) -> list[str]:
    """The names of a chain such as `a.b.c`; a function's name is none of it."""
    names: list[str] = []
    while tokens[index].type in _NAMES and tokens[index + 1].type != "lparen":
        names.append(str(tokens[index].value))
        if tokens[index + 1].type != "dot":
            break
        index += 2
    return names


def _enter_or_leave(scopes: list[_Scope], tokens: Sequence[_Token], index: int) -> None:
    """Keep track of brackets, pipes and expression references."""
    kind, before = tokens[index].type, tokens[index - 1] if index else None
    if kind in _OPENING:
        behind_dot = before is not None and before.type == "dot"
        is_index = kind == "lbracket" and before is not None and before.type in _OPERANDS
        is_root = scopes[-1].is_root and not behind_dot and not is_index and kind != "filter"
        is_call = kind == "lparen" and before is not None and before.type in _NAMES
        is_root = scopes[-1].is_root and not _called_on(tokens, index) if is_call else is_root
        scopes.append(_Scope(is_root, str(before.value) if is_call and before else None, is_root))
    elif kind in _OPENING.values() and len(scopes) > 1:
        scopes.pop()
    elif kind in ("pipe", "expref"):
        scopes[-1].is_root = False
    elif kind == "comma":
        scopes[-1].is_root = scopes[-1].begins_at_root


def _called_on(tokens: Sequence[_Token], index: int) -> bool:
    """Whether a call's arguments are looked up in what stands before a dot: `a.length(b)`."""
    return index > 1 and tokens[index - 2].type == "dot"


def _tokens(expression: str) -> list[_Token]:
    """All tokens, the last of which is the end; the lexer's own ends are wrong for quoted ones."""
    found = cast("list[dict[str, Any]]", list(lexer.Lexer().tokenize(expression)))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    starts = [int(each["start"]) for each in found]
    ends = [len(expression[:start].rstrip()) for start in (*starts[1:], len(expression))]
    spans = zip(found, starts, ends, strict=True)
    return [_Token(each["type"], each["value"], start, end) for each, start, end in spans]
