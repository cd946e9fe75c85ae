"""What all bodies share: limits, how a list says where its page ends, and that nothing undeclared is in an answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 2**63 - 1


class Body(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Body):
    """Where this page ends. `total` stays null with `total_kind` none: counting is never done unasked."""

    limit: int
    next_cursor: str | None
    has_more: bool
    total: int | None
    total_kind: Literal["exact", "planned", "estimated", "none"]
