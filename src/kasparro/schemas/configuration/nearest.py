"""Names that somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean "..."?`, or nothing when no name is near. Case does not count."""
    by_folded = {known.casefold(): known for known in names}
    matches = get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f'; did you mean "{by_folded[matches[0]]}"?' if matches else ""
