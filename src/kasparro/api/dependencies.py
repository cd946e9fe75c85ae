"""What routes are given: a connection, and query parameters that are known and given once."""

import re
from typing import Annotated, Any, cast

from fastapi import Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kasparro.api.errors import shortened, unknown_parameter
from kasparro.core.database import Pool
from kasparro.core.errors import ParameterError
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET


def _digits(value: object) -> object:
    """A whole number in plain digits; the number's own check says what is wrong with anything else."""
    return value if not isinstance(value, str) or re.fullmatch("-?[0-9]{1,30}", value) else "no integer"


WholeNumber = Annotated[int, BeforeValidator(_digits)]


class Parameters(BaseModel):
    """Query parameters of a route; an unknown one is refused with the nearest valid name."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        known = list(cls.model_fields)
        unknown = {shortened(name): unknown_parameter(shortened(name), known) for name in values if name not in known}
        if unknown:
            raise ParameterError(unknown)
        return values


class DataParameters(Parameters):
    """`GET /data`."""

    limit: Annotated[WholeNumber, Field(ge=1, le=MAX_LIMIT, description="How many records at most.")] = DEFAULT_LIMIT
    offset: Annotated[WholeNumber, Field(ge=0, le=MAX_OFFSET, description="How many records to skip.")] = 0
    source: Annotated[
        str | None, Field(min_length=1, description="A source's name, or a type: `api`, `csv`, `rss`.")
    ] = None


def refuse_repeated(request: Request) -> None:
    """A parameter given twice has no one meaning. Raises ParameterError."""
    names = [name for name, _ in request.query_params.multi_items()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(dict.fromkeys(map(shortened, repeated), "given more than once"))


def refuse_all(request: Request) -> None:
    """For routes without parameters. Raises ParameterError for each one given."""
    given = {shortened(name): "unknown parameter; none is known here" for name in request.query_params}
    if given:
        raise ParameterError(given)


def pool_of(request: Request) -> Pool:
    """The pool that the application was made with."""
    return cast("Pool", request.app.state.pool)


DataQuery = Annotated[DataParameters, Query()]
