"""Bounds that settings and options of commands share; here, so that a command line is read without importing settings."""

from typing import Final

MOST_LANES: Final = 32
