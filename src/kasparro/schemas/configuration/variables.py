"""`${NAME}` and `${NAME:-default}` in scalars: filled in after parsing, so that no value can change the structure.

`$${` stands for the text `${`. From then on the value of a variable whose name says that it is secret is masked in all
output, and any other is shown in messages as the variable. Each variable has a `NAME_FILE` twin that names a file with
the value (mounted secrets).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kasparro.core.masking import is_secret_name, register_filled, register_variable
from kasparro.schemas.configuration import document
from kasparro.schemas.configuration.document import Document, Scalar

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{(?P<bad>[^}]*)\}?"
)


class _MissingVariable(ValueError):
    """A variable cannot be filled in; the message names it, never its value."""


def fill_in(parsed: Document, environ: Mapping[str, str]) -> tuple[Any, dict[document.Path, tuple[str, ...]]]:
    """The document's value with variables filled in, and the names used at each path.

    What is missing or malformed becomes a finding, and the scalar stays as it was written.
    """
    used: dict[document.Path, tuple[str, ...]] = {}

    def replace(path: document.Path, scalar: Scalar) -> Scalar:
        if "${" not in scalar:
            return scalar
        names = tuple(match["name"] for match in _REFERENCE.finditer(scalar) if match["name"])
        used[path] = names
        try:
            text = _REFERENCE.sub(lambda match: _value(match, environ), scalar)
        except _MissingVariable as problem:
            parsed.find(path, str(problem))
            return scalar
        if any(_read(name, environ) for name in names):
            register_filled(str(scalar), text)
        return Scalar(text, plain=bool(names) and scalar.plain)

    return document.replace_scalars(parsed.value, replace), used


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


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match["bad"] is not None:
        raise _MissingVariable(
            f'"{match[0]}" is not a variable; write ${{NAME}} or ${{NAME:-default}}, or $${{ for the text'
        )
    name = match["name"]
    if name is None:
        return "${"
    value = _read(name, environ)
    if not value and match["default"] is not None:
        return match["default"]
    if value is None:
        raise _MissingVariable(f"environment variable {name} is not set (nor {name}_FILE)")
    register_variable(name, value)
    return value


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
