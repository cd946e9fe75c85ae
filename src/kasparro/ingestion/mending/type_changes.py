"""What a setting makes of a field whose values are of another type now: it reads both, can be made to, or cannot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kasparro.ingestion.mapped_paths import Use
from kasparro.ingestion.mending.renaming import chain

_SECONDS: Final = (5e8, 4e9)
_MILLISECONDS: Final = (5e11, 4e12)
"""1985 to 2096."""
_LEAST_MILLISECONDS: Final = 20_000_000_000
"""As seconds, the year 2603; as milliseconds, 1970."""
_SCALARS: Final = frozenset(("number", "boolean", "text number", "time", "text"))
_NUMBERS: Final = frozenset(("number", "text number"))
_EPOCH: Final = re.compile(r"parse_time\((?P<chain>[^(),']+), *'(?P<unit>epoch_m?s)'\)")
_PATH: Final = re.compile(r"(?:[^()|&\"]|\"[^\"]*\")+")
_BOTH: Final = re.compile(
    r"(?P<test>type|regex|to_number)\((?P<chain>[^(),']+)(?:, '\^\[0-9\.\]\+\$')?\)(?: == 'number'| > `\d+`)?"
    r" && parse_time\([^()]*\) \|\| (?P<last>.+)"
)
_DIGITS: Final = "'^[0-9.]+$'"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text` is what the setting should be, an expression; None where it need not change (`is_fine`), or cannot."""

    text: str | None
    says: str
    is_fine: bool = False


def judge(use: Use, path: str, expected: Mapping[str, float], seen: Mapping[str, float], limits: Any) -> Verdict:
    """What to do about one setting, given the types that were and are; `limits`: the least and largest number now."""
    before, after = _main(expected), _main(seen)
    if use.at[0] != "map" or len(use.at) == 1:
        return _of_other(use, before, after)
    if use.reads.paths != frozenset((path,)):
        return Verdict(None, f"{use.shown} reads more than {path}: look at it by hand")
    name = str(use.at[1])
    if name == "attributes" and use.form != "expression":
        return Verdict(None, f"{use.shown} keeps it as it comes", is_fine=True)
    if name == "occurred_at":
        return _of_time(use, before, after, limits)
    if use.form == "expression":
        return Verdict(None, f"{use.shown} is an expression of yours: whether it reads {after} is not known")
    if after not in _SCALARS:
        return Verdict(None, f"{use.shown} needs one value, and {_named(after)} has none that could be told")
    if name == "value" and after not in ("number", "text number"):
        return Verdict(None, f"{use.shown} needs a number, and {_named(after)} is none")
    return Verdict(None, f"{use.shown} reads {_named(before)} and {_named(after)} alike", is_fine=True)


def _of_other(use: Use, before: str, after: str) -> Verdict:
    if use.at[0] == "key" and {before, after} <= _SCALARS:
        return Verdict(
            None, f"{use.shown} is named by its text, be it {_named(before)} or {_named(after)}", is_fine=True
        )
    if use.at[0] == "ignore":
        return Verdict(None, f"{use.shown} ignores it whatever it is", is_fine=True)
    return Verdict(None, f"{use.shown} may not read {_named(after)}: look at it by hand")


def _of_time(use: Use, before: str, after: str, limits: Any) -> Verdict:
    """Times in text, and numbers of seconds or milliseconds."""
    epoch, unit = _EPOCH.fullmatch(use.text) if use.form == "expression" else None, _unit(limits)
    if _reads_both(use.text, after, unit):
        return Verdict(None, f"{use.shown} reads both already", is_fine=True)
    is_number = before in _NUMBERS and after in _NUMBERS
    if epoch is not None and is_number and (before == after or unit not in (None, epoch["unit"])):
        return _of_unit(use, epoch["chain"].strip(), epoch["unit"], unit)
    if is_number and before != after and use.form == "expression":
        return Verdict(None, f"{use.shown} reads numbers in text as well", is_fine=True)
    if epoch is not None and after == "time":
        text = epoch["chain"].strip()
        counted = f"type({text}) == 'number'" if before == "number" else f"to_number({text})"
        return Verdict(f"{counted} && {use.text} || {text}", "times in text, or as before")
    is_path = use.form == "column" or _PATH.fullmatch(use.text) is not None
    if (
        is_path
        and use.form != "expression"
        and before == "time"
        and after in ("number", "text number")
        and unit is not None
    ):
        text = chain([use.text]) if use.form == "column" else use.text
        counted = f"type({text}) == 'number'" if after == "number" else f"regex({text}, {_DIGITS})"
        return Verdict(f"{counted} && parse_time({text}, '{unit}') || {text}", f"{unit}, or times in text")
    said = "times in another format" if after == "time" else _named(after)
    return Verdict(None, f"{use.shown} needs a time: how to read one out of {said} is not known")


def _reads_both(text: str, after: str, unit: str | None) -> bool:
    """Whether it is what was proposed before, and reads what comes now."""
    both = _BOTH.fullmatch(text)
    if both is None or after == "time":
        return both is not None and both["last"] == both["chain"]
    tests = {"number": ("type", "to_number"), "text number": ("regex", "to_number")}
    return both["test"] in tests.get(after, ()) and unit is not None and f"'{unit}'" in text


def _of_unit(use: Use, text: str, before: str, after: str | None) -> Verdict:
    """Seconds that are milliseconds now, or the other way round: the larger numbers are milliseconds."""
    if after is None or after == before:
        return Verdict(None, f"{use.shown} counts {before}, and what is counted now is not known")
    milliseconds, seconds = f"parse_time({text}, 'epoch_ms')", f"parse_time({text}, 'epoch_s')"
    larger = f"to_number({text}) > `{_LEAST_MILLISECONDS}`"  # numbers in text as well: a text is never greater
    return Verdict(f"{larger} && {milliseconds} || {seconds}", "seconds and milliseconds")


def _unit(limits: Any) -> str | None:
    """What numbers of this range count since 1970; None where they are no times."""
    if not limits:
        return None
    low, high = (float(end) for end in limits)
    ranges = {"epoch_s": _SECONDS, "epoch_ms": _MILLISECONDS}
    return next((unit for unit, (least, most) in ranges.items() if least <= low <= high <= most), None)


def _main(types: Mapping[str, float]) -> str:
    """The type that most values are of."""
    return max(types, key=lambda name: types[name]) if types else "nothing"


def _named(kind: str) -> str:
    names = {"array": "a list", "object": "an object", "text number": "a number in text", "boolean": "true or false"}
    return names.get(kind, f"a {kind}" if kind != "nothing" else kind)
