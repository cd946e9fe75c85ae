"""Writes the configuration's reference page and JSON Schema; with `--check` says whether they are stale."""

import sys
from pathlib import Path

from kasparro.schemas.configuration.export import json_schema_text, reference_text

DOCS = Path(__file__).resolve().parent


def main(*, check: bool) -> int:
    """0 when both files are as they should be (or have been written), 1 when `check` finds a stale one."""
    texts = {"reference/configuration.md": reference_text(), "configuration.schema.json": json_schema_text()}
    stale = [name for name, text in texts.items() if _current(DOCS / name) != text]
    for name in stale:
        if check:
            print(f"docs/{name} is stale: run `python docs/generate_configuration.py`", file=sys.stderr)
        else:
            (DOCS / name).write_text(texts[name], encoding="utf-8")
    return 1 if check and stale else 0


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
