"""YAML text as plain values, with the line and column of each, so that an error can name its place.

Scalars stay text: the field a scalar belongs to decides what it is, so that `no`, `2013-01-01`, `1e3` and `010` are
what was written (YAML 1.2, core schema, https://yaml.org/spec/1.2.2/#103-core-schema). Only an unquoted null is None.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Self, cast

import yaml

Path = tuple[str | int, ...]
_MAX_NODES: Final = 100_000
_STANDARD_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,1000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}")
_DECIMAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,9})?")
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS: Final = ("", "~", "null", "Null", "NULL")


class Scalar(str):  # noqa: SLOT000 - a variable-sized type has no slots
    """A scalar's text. `resolved` is what it means where no field says what it has to be (constants)."""

    plain: bool
    resolved: str | int | Decimal | bool

    def __new__(cls, text: str, *, plain: bool) -> Self:
        scalar = super().__new__(cls, text)
        scalar.plain = plain
        scalar.resolved = _resolve(text) if plain else text
        return scalar


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a place of the document."""

    path: Path
    mark: Mark
    message: str


@dataclass(slots=True)
class Document:
    """A parsed file: its value, where each value (or the key before it) stands, and what is wrong with it."""

    value: Any = None
    marks: dict[Path, Mark] = field(default_factory=dict[Path, Mark])
    findings: list[Finding] = field(default_factory=list[Finding])

    def mark(self, path: Path) -> Mark:
        """The place of `path`, or of the nearest thing around it."""
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path, Mark(1, 1))

    def find(self, path: Path, message: str, mark: Mark | None = None) -> None:
        """Note that something is wrong."""
        self.findings.append(Finding(path, mark or self.mark(path), message))


class _Loader(yaml.SafeLoader):
    """Resolves nothing: every scalar is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute


def parse_document(text: str) -> Document:
    """Parse YAML text. Never raises for what the text holds: syntax errors are findings, with the value None."""
    document = Document()
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        document.find((), _syntax_message(error), _mark(error.problem_mark or error.context_mark))
        return document
    except yaml.reader.ReaderError as error:
        place = text[: error.position]
        mark = Mark(place.count("\n") + 1, len(place) - place.rfind("\n"))
        document.find((), f"character U+{ord(text[error.position]):04X} is not allowed in YAML", mark)
        return document
    except RecursionError:
        document.find((), "nested too deeply")
        return document
    if root is None:
        document.find((), "the file is empty")
        return document
    document.marks[()] = _mark(root.start_mark)
    builder = _Builder(document)
    value = builder.value(root, ())
    document.value = None if builder.is_too_large else value
    return document


class _Builder:
    """Turns a node graph into values, noting marks and findings."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._nodes = 0

    @property
    def is_too_large(self) -> bool:
        return self._nodes > _MAX_NODES

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._document.marks.setdefault(path, _mark(node.start_mark))
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            return self._refuse_size(path)
        if id(node) in self._open:
            self._document.find(path, "an alias may not contain itself", _mark(node.start_mark))
            return None
        self._check_tag(node, path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self._open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        finally:
            self._open.remove(id(node))

    def _refuse_size(self, path: Path) -> None:
        if self._nodes == _MAX_NODES + 1:
            self._document.find(path, f"more than {_MAX_NODES} values, aliases included")

    def _check_tag(self, node: yaml.Node, path: Path) -> None:
        if node.tag not in {_STANDARD_TAG + name for name in ("str", "seq", "map")}:
            tag = node.tag.removeprefix(_STANDARD_TAG)
            self._document.find(path, f"tag !{tag.lstrip('!')} is not supported", _mark(node.start_mark))

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        items = cast("list[yaml.Node]", node.value)
        return [self.value(item, (*path, index)) for index, item in enumerate(items)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            mark = _mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.find(path, "a key must be text", mark)
                continue
            key = str(key_node.value)
            if key in members:
                first = self._document.marks[(*path, key)]
                self._document.find((*path, key), f"given twice; first on line {first.line}", mark)
                continue
            self._document.marks[(*path, key)] = mark
            members[key] = self.value(value_node, (*path, key))
        return members


def scalars(value: Any, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """All scalars below a value, with their paths."""
    if isinstance(value, Scalar):
        yield path, value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from scalars(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from scalars(item, (*path, index))


def replace_scalars(value: Any, replace: Callable[[Path, Scalar], Any], path: Path = ()) -> Any:
    """A copy of the value in which each scalar is what `replace(path, scalar)` gives."""
    if isinstance(value, Scalar):
        return replace(path, value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: replace_scalars(item, replace, (*path, key)) for key, item in members.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [replace_scalars(item, replace, (*path, index)) for index, item in enumerate(items)]
    return value


def shown_path(path: Path) -> str:
    """`sources[0].map.title`."""
    text = ""
    for element in path:
        text += f"[{element}]" if isinstance(element, int) else f".{element}" if text else element
    return text


def _scalar(node: yaml.ScalarNode) -> Scalar | None:
    text, plain = str(node.value), node.style is None
    return None if plain and text in _NULLS else Scalar(text, plain=plain)


def _resolve(text: str) -> str | int | Decimal | bool:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _mark(mark: Any) -> Mark:
    return Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not valid YAML"
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    context = f" ({error.context})" if error.context and error.problem else ""
    return f"not valid YAML: {problem}{context}"
