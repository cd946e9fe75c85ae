"""Regular expressions as PostgreSQL reads them, judged as far as that can be done without a database.

Advanced regular expressions: https://www.postgresql.org/docs/current/functions-matching.html#POSIX-SYNTAX-DETAILS.
They look like Python's, and some of what looks alike means something else: those are refused by name.
"""

import re
import warnings
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_LETTERS: Final = frozenset("abBcefnrtuUvxdswDSWAmMyYZ")
"""Letters with a meaning behind a backslash; digits, and what is no letter, have one too."""
_CONFUSED: Final = {"b": "a backspace; the edge of a word is \\y", "B": "a backslash; what is no edge of a word is \\Y"}
_PYTHON_ONLY: Final = {
    r"\(\?P": "a group cannot have a name",
    r"\(\?<(?![=!])": "a group cannot have a name",
    r"\(\?>": "there are no atomic groups",
    r"\(\?\(": "there are no conditions",
    r"([*+?]|\{[0-9,]+\})\+": "a quantifier cannot follow another",
}
_DIRECTOR: Final = re.compile(r"\*\*\*|\(\?[bceimnpqstwx]+\)")
_TOKEN: Final = re.compile(r"\\.?|\[\^?\]?(?:\[[:.=].*?[:.=]\]|\\.|[^\]\\])*\]|.", re.DOTALL)
"""An escape, a bracket expression, or any other character."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_IN_BRACKETS: Final = re.compile(r"\[[:.=].*?[:.=]\]", re.DOTALL)
_TOLERATED: Final = "look-behind requires fixed-width pattern"
"""What Python refuses, and PostgreSQL does not."""


def checked_pattern(pattern: str) -> str:
    """The pattern. Raises PydanticCustomError with what PostgreSQL would not read, or read otherwise than it looks."""
    reason = _fault(pattern)
    if reason is not None:
        raise PydanticCustomError(
            "pattern",
            "{reason}",
            {"reason": f"not a regular expression as PostgreSQL reads it: {reason}\n    {pattern}"},
        )
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(checked_pattern)]
"""A regular expression that PostgreSQL reads."""


def _fault(pattern: str) -> str | None:
    if "\x00" in pattern or any("\ud800" <= character <= "\udfff" for character in pattern):
        return "PostgreSQL stores neither NUL nor half of a character"
    if _DIRECTOR.match(pattern):
        return None  # other rules may hold: the database judges it
    tokens = [match[0] for match in _TOKEN.finditer(pattern)]
    for token in tokens:
        if reason := _wrong_escape(token):
            return reason
    bare = "".join("x" if len(token) > 1 else token for token in tokens)
    for construct, reason in _PYTHON_ONLY.items():
        if re.search(construct, bare):
            return reason
    return _refused_by_python("".join(map(_for_python, tokens)))


def _wrong_escape(part: str) -> str | None:
    if part == "\\":
        return "it ends with a backslash"
    if part[0] == "\\" and part[1] in _CONFUSED:
        return f"{part} is {_CONFUSED[part[1]]}"
    for letter in _ESCAPE.findall(part):
        if letter.isascii() and letter.isalpha() and letter not in _LETTERS:
            return f"there is no \\{letter}"
    return None


def _for_python(part: str) -> str:
    """What Python reads as the same, as far as its syntax goes."""
    if len(part) == 1:
        return part
    if part[0] == "[":
        return _ESCAPE.sub(lambda match: match[0] if match[1] in "dDwWsS" else "a", _IN_BRACKETS.sub("a", part))
    if part[1] in "mMyY":
        return r"\b"
    return "x" if part[1] in "aceuUx" else part


def _refused_by_python(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return None if str(error).startswith(_TOLERATED) else str(error)
    return None
