"""How much room there is where the embedded database keeps its data."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

LOW_DISK_BYTES: Final = 2 * 1024**3
FULL_DISK_BYTES: Final = 200 * 1024**2
DiskState = Literal["ok", "low", "full"]


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Room on the file system of a folder. `full`: PostgreSQL is about to stop; `low`: it is time to act."""

    folder: Path
    free_bytes: int

    @property
    def state(self) -> DiskState:
        if self.free_bytes < FULL_DISK_BYTES:
            return "full"
        return "low" if self.free_bytes < LOW_DISK_BYTES else "ok"

    def __str__(self) -> str:
        return f"{self.free_bytes / 1024**3:.1f} GiB free in {self.folder}"


def look(folder: Path) -> DiskSpace:
    """The room there is for a folder, which need not exist yet. Raises OSError."""
    existing = nearest_existing(folder)
    return DiskSpace(existing, shutil.disk_usage(existing).free)


def nearest_existing(path: Path) -> Path:
    """The path or the nearest folder above it; what cannot be looked at counts as missing."""
    return next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110
