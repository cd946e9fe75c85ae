"""A statement in the making: constant fragments, and the values that stand beside them."""

from typing import Any


class Parameters:
    """The values of a statement; `add` returns the `$n` that stands for one in its text."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """The placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}"
