"""Every code by which a reader rejects a record is known as one that no payload shows."""

import re
from pathlib import Path

from kasparro.ingestion import sources
from kasparro.ingestion.source import READER_CODES
from kasparro.ingestion.sources.csv.careful import _REASONS

READERS = Path(sources.__file__).parent
SHOWN_BY_THE_PAYLOAD = {"key_missing"}
"""Of a feed's entry that has nothing to tell it by: what is judged again is as empty as it was."""


def test_codes_of_readers_are_known() -> None:
    named = {
        code
        for path in READERS.rglob("*.py")
        for code in re.findall(r'Defect\("(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert named | set(_REASONS) == READER_CODES | SHOWN_BY_THE_PAYLOAD
