"""Single settings of a YAML text replaced where they stand; every other character stays as it is."""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml

from kasparro.ingestion.mapped_paths import Place

_HUNK: Final = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")
_CONTEXT: Final = 3


class CannotEditError(Exception):
    """A setting is written so that it is left to people; the message says how."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What a setting says, and is to say; `at` leads to it from the top of the document. See `Change` for the rest."""

    at: Place
    before: str
    after: str
    labels: Sequence[str]
    as_expression: bool = False
    is_added: bool = False


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a scalar stands: characters of the text, and how it is written."""

    node: yaml.ScalarNode
    is_flow: bool
    of_flow_list: bool


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text with all edits made. Raises CannotEditError."""
    spans = [(edit, _find(text, edit)) for edit in edits]
    for edit, span in sorted(spans, key=lambda pair: pair[1].node.start_mark.index, reverse=True):
        text = _replaced(text, edit, span)
    return text


def patch_of(name: str, before: str, after: str, edits: Sequence[Edit]) -> str:
    """A unified diff that `patch -p0` and `git apply -p0` take; each hunk's head says what its edits are for."""
    lines = [(_line(before, edit), label) for edit in edits for label in edit.labels]
    old, new = _lines(before), _lines(after)
    told: list[str] = []
    for line in difflib.unified_diff(old, new, name, name, n=_CONTEXT):
        hunk = _HUNK.match(line)
        if hunk is not None:
            first, count = int(hunk[1]), int(hunk[2] or 1)
            labels = dict.fromkeys(label for at, label in lines if first <= at < first + count)
            told.append(f"{hunk[0]} {'; '.join(labels)}\n")
        else:
            told.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(told)


def _lines(text: str) -> list[str]:
    """As `patch` sees them: parted at line feeds alone."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _line(text: str, edit: Edit) -> int:
    return text.count("\n", 0, _find(text, edit).node.start_mark.index) + 1


def _find(text: str, edit: Edit) -> _Span:
    """The scalar that an edit is about. Raises CannotEditError where it is not written out in one place."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    shared = _shared(node)
    is_flow = of_flow_list = False
    for part in edit.at:
        is_flow = is_flow or bool(node.flow_style)
        of_flow_list = isinstance(part, int) and bool(node.flow_style)
        node = _child(node, part)
        if id(node) in shared:
            raise CannotEditError("it stands in an alias (`*`), and so in several places")
    if not isinstance(node, yaml.ScalarNode) or node.value != edit.before:
        raise CannotEditError("it is filled in from a variable, or written in another way than it is read")
    written = text[node.start_mark.index : node.end_mark.index]
    if node.style in ("|", ">") or "\n" in written:
        raise CannotEditError("it is written over several lines")
    if (node.style is None and written != node.value) or (node.style and not written.startswith(node.style)):
        raise CannotEditError("it has a tag or an anchor")
    return _Span(node, is_flow, of_flow_list)


def _child(node: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return node.value[part]
    return next(value for key, value in node.value if key.value == part)


def _shared(root: Any) -> set[int]:
    """Nodes that stand in more than one place."""
    times: dict[int, int] = {}
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        times[id(node)] = times.get(id(node), 0) + 1
        if times[id(node)] > 1 or isinstance(node, yaml.ScalarNode):
            continue
        children = cast("list[Any]", node.value)
        waiting += children if isinstance(node, yaml.SequenceNode) else [part for pair in children for part in pair]
    return {number for number, count in times.items() if count > 1}


def _replaced(text: str, edit: Edit, span: _Span) -> str:
    start, end = span.node.start_mark.index, span.node.end_mark.index
    if edit.is_added:
        return text[:end] + _further(text, edit, span) + text[end:]
    if edit.as_expression:
        written = f"{{expr: {_quoted(edit.after)}}}"
    else:
        written = _scalar(edit.after, span)
    return text[:start] + written + text[end:]


def _further(text: str, edit: Edit, span: _Span) -> str:
    """What stands behind an item of a list to make another one."""
    written = _scalar(edit.after, span)
    if span.of_flow_list:
        return f", {written}"
    if not isinstance(edit.at[-1], int):
        raise CannotEditError("it is no list")
    start = span.node.start_mark.index
    begin = text.rfind("\n", 0, start) + 1
    comment_end = text.find("\n", start)
    behind = text[span.node.end_mark.index : comment_end if comment_end >= 0 else len(text)].strip()
    if text[begin:start].strip() != "-" or behind:
        raise CannotEditError("its list is written so that an item cannot be added")
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{newline}{text[begin:start]}{written}"


def _scalar(value: str, span: _Span) -> str:
    """The text as it was written before, if it can be written so."""
    if span.node.style is None and _is_plain(value, is_flow=span.is_flow):
        return value
    return _single(value) if span.node.style == "'" else _quoted(value)


def _is_plain(value: str, *, is_flow: bool) -> bool:
    try:
        node: Any = yaml.compose(f"[{value}]" if is_flow else f"k: {value}", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    if node is None or len(node.value) != 1:
        return False
    scalar = node.value[0] if is_flow else node.value[0][1]
    return isinstance(scalar, yaml.ScalarNode) and scalar.style is None and scalar.value == value


def _quoted(value: str) -> str:
    """In double quotes, or in single ones where that needs no escapes."""
    return _single(value) if "\\" in value or '"' in value else json.dumps(value, ensure_ascii=False)


def _single(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"
