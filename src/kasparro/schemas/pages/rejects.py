"""Bodies of `/rejects`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kasparro.core.canonical import storable_text
from kasparro.schemas.pages.base import Body, Page

RejectState = Literal["open", "requeued", "resolved", "dropped"]
_MOST_CHOSEN = 1_000


def _storable(text: str) -> str:
    if storable_text(text) != text:
        raise PydanticCustomError("storable_text", "holds a character that the database cannot hold")
    return text


def _whole(value: object) -> object:
    """JSON has one kind of numbers: 7.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


StorableText = Annotated[str, AfterValidator(_storable), Field(min_length=1)]
Fingerprint = Annotated[str, Field(pattern="^f[0-9a-f]{10}$")]


class Reject(Body):
    """One reason why a payload was rejected. Secrets are masked."""

    id: int
    group: str = Field(description="Fingerprint of what is wrong: equal for rejects that fail for the same reason.")
    source: str
    state: RejectState = Field(description="`requeued` and `resolved` ones have loaded, or are overtaken.")
    code: str
    field: str | None = Field(description="Which field is at fault, where it is one.")
    message: str
    record_key: str | None = Field(description="Null where it could not be told.")
    locator: str = Field(description="Where it was seen last, such as `flights.csv:17`.")
    raw_id: int = Field(description="The payload, as it came: `/raw/{id}`.")
    run_id: int = Field(description="The run that saw it last, or judged it again since.")
    times: int = Field(description="How often it was seen.")
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    resolution: str | None = Field(description="What became of it, or why it was dropped.")


class RejectPage(Body):
    """Rejects, newest first."""

    data: list[Reject]
    page: Page
    request_id: str
    api_latency_ms: float


class RejectExample(Body):
    """One reject of a group."""

    id: int
    locator: str
    message: str
    record_key: str | None
    raw_id: int


class RejectGroup(Body):
    """Rejects of one source that fail for the same reason."""

    group: str = Field(description="The fingerprint, by which they are requeued.")
    source: str
    code: str
    field: str | None
    message: str = Field(description='With `#` for numbers, and `"*"` for what is quoted.')
    payloads: int = Field(description="Distinct ones.")
    times: int = Field(description="How often they were seen, all together.")
    first_seen_at: datetime
    last_seen_at: datetime
    examples: list[RejectExample] = Field(description="The first and the last one.")


class RejectGroupPage(Body):
    """Groups of rejects, those with the most payloads first."""

    data: list[RejectGroup]
    page: Page
    request_id: str
    api_latency_ms: float


class RequeueRequest(BaseModel):
    """Which open rejects to put through today's mapping; all conditions must hold. Without any: all of every source.

    A list that is there names at least one: an empty one would mean all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: StorableText | None = Field(default=None, description="Only those of this source.")
    code: StorableText | None = Field(default=None, description="Only those with this code.")
    field: StorableText | None = Field(default=None, description="Only those of this field.")
    ids: list[Annotated[int, Field(ge=0, strict=True), BeforeValidator(_whole)]] | None = Field(
        default=None, min_length=1, max_length=_MOST_CHOSEN, description="Only these, and those of `groups`."
    )
    groups: list[Fingerprint] | None = Field(
        default=None, min_length=1, max_length=_MOST_CHOSEN, description="Only those of these groups, and `ids`."
    )
