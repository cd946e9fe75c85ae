"""`${NAME}` and `${NAME:-default}` in scalars: filled in after parsing, so that no value can change the structure.

`$${` stands for the text `${`. From then on the value of a variable whose name says that it is secret is masked in all
output, and any other is shown in messages as the variable, unless it is the host or port of a URL, which is no secret.
Each variable has a `NAME_FILE` twin that names a file with the value (mounted secrets).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kasparro.core.errors import ConfigurationError
from kasparro.core.masking import is_secret_name, register_filled, register_variable
from kasparro.schemas.configuration import document
from kasparro.schemas.configuration.document import Document, Scalar

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{(?P<bad>[^}]*)\}?"
)
_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<userinfo>[^/?#]*@)?[^/?#]*")
"""A URL up to the end of host and port (RFC 3986 section 3.2)."""


class _MissingVariable(ValueError):
    """A variable cannot be filled in; the message names it, never its value."""


def fill_in(parsed: Document, environ: Mapping[str, str]) -> tuple[Any, dict[document.Path, tuple[str, ...]]]:
    """The document's value with variables filled in, and the names used at each path.

    What is missing or malformed becomes a finding, and the scalar stays as it was written.
    """
    used: dict[document.Path, tuple[str, ...]] = {}
    variables = _Variables(environ)

    def replace(path: document.Path, scalar: Scalar) -> Scalar:
        if "${" not in scalar:
            return scalar
        names = tuple(match["name"] for match in _REFERENCE.finditer(scalar) if match["name"])
        used[path] = names
        try:
            text = variables.filled(scalar)
        except _MissingVariable as problem:
            parsed.find(path, str(problem))
            return scalar
        return Scalar(text, plain=bool(names) and scalar.plain)

    value = document.replace_scalars(parsed.value, replace)
    variables.register()
    return value, used


@dataclass(slots=True)
class _Variables:
    """What the environment put into scalars, until all are known and it is clear what messages may show."""

    environ: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict[str, str])
    places: set[str] = field(default_factory=set[str])
    """Variables that are the host or port of some URL."""
    scalars: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Each as it is written, and as it is filled in."""

    def filled(self, scalar: str) -> str:
        """The scalar with variables filled in. Raises _MissingVariable."""
        spans: list[tuple[str, int, int]] = []
        text, end = "", 0
        for match in _REFERENCE.finditer(scalar):
            text += scalar[end : match.start()]
            begin, text, end = len(text), text + self._value(match), match.end()
            if match["name"] in self.values:
                spans.append((match["name"], begin, len(text)))
        text += scalar[end:]
        if spans:
            self.scalars.append((scalar, text))
            self.places |= _in_place(text, spans)
        return text

    def register(self) -> None:
        """Have values masked from now on; those in the place of a host or port stay readable, wherever they are."""
        hidden = {name: value for name, value in self.values.items() if name not in self.places}
        for name, value in hidden.items():
            register_variable(name, value)
        for written, filled in self.scalars:
            readable = _REFERENCE.sub(lambda match: self._readable(match, hidden), written)
            if readable != filled:
                register_filled(readable, filled)

    def _readable(self, match: re.Match[str], hidden: Collection[str]) -> str:
        name = match["name"]
        if name is None:
            return "${"
        if name in hidden:
            return match[0]
        return self.values.get(name) or match["default"] or ""

    def _value(self, match: re.Match[str]) -> str:
        if match["bad"] is not None:
            raise _MissingVariable(
                f'"{match[0]}" is not a variable; write ${{NAME}} or ${{NAME:-default}}, or $${{ for the text'
            )
        name = match["name"]
        if name is None:
            return "${"
        value = _read(name, self.environ)
        if not value and match["default"] is not None:
            return match["default"]
        if value is None:
            raise _MissingVariable(f"environment variable {name} is not set (nor {name}_FILE)")
        self.values[name] = value
        return value


def _in_place(text: str, spans: Iterable[tuple[str, int, int]]) -> set[str]:
    """The variables that lie whole before the path of a URL, and after its user and password if it has them.

    Those that reach beyond it, as `FEED=https://host/path?token=..` does, or whose name says secret are not among them.
    """
    found = _AUTHORITY.match(text)
    if found is None:
        return set()
    begin = found.end("userinfo") if found["userinfo"] else 0
    return {name for name, start, end in spans if begin <= start and end <= found.end() and not is_secret_name(name)}


def variables_in(value: Any, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand in what is written, each with its value; empty for one that has none."""
    found = (match["name"] for _, scalar in document.scalars(value) for match in _REFERENCE.finditer(scalar))
    try:
        return {name: _read(name, environ) or "" for name in found if name}
    except _MissingVariable as problem:
        raise ConfigurationError(str(problem)) from None


def secret_parts(written: str, filled: str) -> list[str]:
    """What variables with secret names put into a scalar, told from how it is written."""
    names, pattern, end = list[str](), "", 0
    for match in _REFERENCE.finditer(written):
        pattern += re.escape(written[end : match.start()])
        pattern += "(.*?)" if match["name"] else re.escape("${")
        names += [match["name"]] if match["name"] else []
        end = match.end()
    found = re.fullmatch(pattern + re.escape(written[end:]), filled, re.DOTALL)
    parts = found.groups() if found else ()
    return [part for name, part in zip(names, parts, strict=False) if part and is_secret_name(name)]


def _read(name: str, environ: Mapping[str, str]) -> str | None:
    value, file_name = environ.get(name), environ.get(f"{name}_FILE")
    if not file_name:
        return value
    if value:
        raise _MissingVariable(f"environment variables {name} and {name}_FILE are both set; keep one")
    try:
        return Path(file_name).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise _MissingVariable(f"the file that {name}_FILE names cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _MissingVariable(f"the file that {name}_FILE names is not UTF-8 text") from None
