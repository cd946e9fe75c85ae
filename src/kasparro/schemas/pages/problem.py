"""What errors look like: RFC 9457 `application/problem+json`."""

from pydantic import BaseModel, Field

from kasparro.schemas.pages.base import Body


class ProblemDetail(Body):
    """One thing that is wrong with a request: with a parameter, or at a place in its body."""

    parameter: str | None = None
    pointer: str | None = Field(default=None, description="A JSON pointer into the body (RFC 6901); empty: all of it.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[ProblemDetail] = Field(default=[])
