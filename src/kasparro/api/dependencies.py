"""What routes are given: a connection, and query parameters that are known and given once."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kasparro.api.errors import unknown_parameter
from kasparro.core.database import Connection, Pool, house_errors
from kasparro.core.errors import ParameterError
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET

ACQUIRE_TIMEOUT_SECONDS: Final = 5.0


class Parameters(BaseModel):
    """Query parameters of a route; an unknown one is refused with the nearest valid name."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        known = list(cls.model_fields)
        unknown = {name: unknown_parameter(name, known) for name in values if name not in known}
        if unknown:
            raise ParameterError(unknown)
        return values


class DataParameters(Parameters):
    """`GET /data`."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="How many records at most.")] = DEFAULT_LIMIT
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET, description="How many records to skip.")] = 0
    source: Annotated[
        str | None, Field(min_length=1, description="A source's name, or a type: `api`, `csv`, `rss`.")
    ] = None


def refuse_repeated(request: Request) -> None:
    """A parameter given twice has no one meaning. Raises ParameterError."""
    names = [name for name, _ in request.query_params.multi_items()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(dict.fromkeys(repeated, "given more than once"))


def pool_of(request: Request) -> Pool:
    """The pool that the application was made with."""
    return cast("Pool", request.app.state.pool)


async def borrowed_connection(request: Request) -> AsyncIterator[Connection]:
    """A connection for the time of one request; driver errors leave as house errors."""
    with house_errors():
        async with pool_of(request).acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            yield cast("Connection", connection)


BorrowedConnection = Annotated[Connection, Depends(borrowed_connection, scope="function")]
DataQuery = Annotated[DataParameters, Query()]
