"""Data that lies outside of its home, as root: which home it belongs to, and what becomes of a former home's.

The folder under the system root is named after the home's path, and outlives the home. So the same note lies in
both; where the home's is gone, its files were deleted with all that they remembered, and the data goes with them.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kasparro.core.embedded.layout import Layout, layout_for, make_root
from kasparro.core.embedded.lock import Patience, locked
from kasparro.core.embedded.process import running_postmaster
from kasparro.core.embedded.stopping import end

NOTE_IN_HOME: Final = "postgres-elsewhere"
NOTE_IN_ROOT: Final = "home"


def is_of_former_home(home: Path, layout: Layout) -> bool:
    """Whether the data was made for a home at the same path that has been deleted since. Touches nothing."""
    if not _is_elsewhere(home, layout):
        return False
    note = _read(layout.root / NOTE_IN_ROOT)
    return note is not None and note != _read(home / NOTE_IN_HOME)


def own_layout(home: Path, patience: Patience) -> Layout:
    """The home's layout, after data of a former home, if there is any, was moved aside and its server stopped.

    Data without a note, of an earlier version, is taken to be the home's.
    """
    layout = layout_for(home)
    if not _is_elsewhere(home, layout) or _belongs(home, layout):
        return layout
    make_root(layout)
    with locked(layout.root.with_name(f".{layout.root.name}.lock"), patience):
        if is_of_former_home(home, layout):
            _move_aside(layout, patience)
            layout = layout_for(home)
        if _is_elsewhere(home, layout) and not _belongs(home, layout):
            make_root(layout)
            _write_notes(home, layout)
    return layout


def _is_elsewhere(home: Path, layout: Layout) -> bool:
    return not layout.root.is_relative_to(home)


def _belongs(home: Path, layout: Layout) -> bool:
    note = _read(layout.root / NOTE_IN_ROOT)
    return note is not None and note == _read(home / NOTE_IN_HOME)


def _move_aside(layout: Layout, patience: Patience) -> None:
    aside = layout.root.with_name(f"{layout.root.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z")
    with locked(layout.lock, patience):
        if running_postmaster(layout) is not None:
            end(layout, "fast", patience, force=True)
        layout.root.rename(aside)
    patience.tell(f"{layout.root} holds the data of a folder that was deleted: moved to {aside}, this one begins anew")


def _write_notes(home: Path, layout: Layout) -> None:
    """The home's first: killed between the two, the data is without a note, and taken to be the home's."""
    note = f"{layout.root}\n{secrets.token_hex(16)}\n"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (home / NOTE_IN_HOME, layout.root / NOTE_IN_ROOT):
        draft = path.with_name(f".{path.name}")
        draft.write_text(note, encoding="utf-8", errors="surrogateescape")
        draft.chmod(0o600)
        draft.replace(path)


def _read(note: Path) -> bytes | None:
    try:
        return note.read_bytes()
    except FileNotFoundError:
        return None
