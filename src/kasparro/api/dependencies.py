"""What routes are given: a connection, and query parameters that are known and given once."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import Depends, Path, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from kasparro.api.asking import ask_long
from kasparro.api.errors import shortened, unknown_parameter
from kasparro.core.database import Connection, Pool
from kasparro.core.errors import NotFoundError, ParameterError

TIMEOUT_SECONDS: Final = 2.5
"""After which the database is asked whether it is there at all, for as long."""
LONGEST_SECONDS: Final = 40.0
"""More than the server's own limit for a statement, which ends it in order."""
MAX_ID: Final = 2**63 - 1
_Answer = TypeVar("_Answer")


def _digits(value: object) -> object:
    """A whole number in plain digits; the number's own check says what is wrong with anything else."""
    return value if not isinstance(value, str) or re.fullmatch("-?[0-9]{1,30}", value) else "no integer"


WholeNumber = Annotated[int, BeforeValidator(_digits)]


def _true_or_false(value: object) -> object:
    """As JSON writes it, and in no other of the words that would do."""
    return {"true": True, "false": False}.get(value, "no boolean") if isinstance(value, str) else value


Flag = Annotated[bool, BeforeValidator(_true_or_false)]


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


async def refuse_repeated(request: Request) -> None:
    """A parameter given twice has no one meaning. Raises ParameterError."""
    names = [name for name, _ in request.query_params.multi_items()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ParameterError(dict.fromkeys(map(shortened, repeated), "given more than once"))


async def refuse_all(request: Request) -> None:
    """For routes without parameters. Raises ParameterError for each one given."""
    given = {shortened(name): "unknown parameter; none is known here" for name in request.query_params}
    if given:
        raise ParameterError(given)


def pool_of(request: Request) -> Pool:
    """The pool that the application was made with."""
    return cast("Pool", request.app.state.pool)


async def ask_database(request: Request, question: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
    """The answer to a question that may take as long as a statement may; `asking` says what it raises, and when."""
    return await ask_long(
        pool_of(request),
        question,
        room=request.app.state.room,
        timeout_seconds=TIMEOUT_SECONDS,
        longest_seconds=LONGEST_SECONDS,
    )


async def _existing_id(number: Annotated[WholeNumber, Path(alias="id", description="As lists show it.")]) -> int:
    if 0 <= number <= MAX_ID:
        return number
    raise NotFoundError(f"there is nothing with the id {shortened(str(number))}")


RecordId = Annotated[int, Depends(_existing_id)]
"""The `id` of a path. No number is too large to be asked for: there is nothing behind it."""
