"""What a process of the command asks of its Python, so that it starts soon."""

import atexit
import gc
import sys
from types import ModuleType
from typing import Final, cast

_YOUNG_OBJECTS: Final = 20_000
"""Python looks for cycles whenever 700 objects are new; imports make 200,000 of them, and records more, without any."""
_UNUSED: Final = ("numpy", "pandas")
"""PyArrow imports them wherever they are installed, to see whether a list is one of their arrays."""


def hasten() -> None:
    """Look for cycles rarely, and leave out what is installed by chance: 0.1 s each command, 0.4 s where pandas is.

    At the end all memory goes back at once: looking through it for cycles first would take another 0.15 s.
    """
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    for name in _UNUSED:
        modules.setdefault(name, None)  # https://docs.python.org/3/reference/import.html#the-module-cache
