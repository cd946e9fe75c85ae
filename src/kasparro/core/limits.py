"""Bounds that settings and options of commands share; here, so that no command line needs the settings to be read."""

from typing import Final

MOST_LANES: Final = 32
