"""What a cell looks like. Only used to guess at dialects and headers: no value is ever changed by it."""

import re

_NUMBER = re.compile(r"[-+(]?\s?[$€£]?\s?(?:\d[\d.,' \u00a0]*|\.\d+)(?:[eE][-+]?\d+)?\s?[%)]?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:\d{2}.*)?")
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?")
_YEAR = re.compile(r"(?:1[89]|20)\d\d")


def kind_of(cell: str) -> str:
    """`empty`, `number`, `date`, `time` or `text`."""
    text = cell.strip()
    if not text:
        return "empty"
    for kind, pattern in (("date", _DATE), ("time", _TIME), ("number", _NUMBER)):
        if pattern.fullmatch(text):
            return kind
    return "text"


def is_typed(cell: str) -> bool:
    return kind_of(cell) not in ("text", "empty")


def is_year(cell: str) -> bool:
    """Years are numbers, but stand in headers as well."""
    return _YEAR.fullmatch(cell.strip()) is not None
