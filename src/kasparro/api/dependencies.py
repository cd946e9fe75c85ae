"""What routes are given: a connection, and query parameters that are known and given once."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar, cast

from fastapi import Depends, Path, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from kasparro.api.asking import ask_long
from kasparro.api.errors import refuse_undecodable, shortened, unknown_parameter
from kasparro.api.wording import whole_number_expected
from kasparro.core.database import Connection, Pool
from kasparro.core.errors import NotFoundError, ParameterError

LONGEST_SECONDS: Final = 40.0
"""More than the server's own limit for a statement, which ends it in order."""
MAX_ID: Final = 2**63 - 1
_FLAGS: Final = {"true": True, "false": False}
_Answer = TypeVar("_Answer")


def whole_number(lowest: int, highest: int) -> BeforeValidator:
    """Reads plain digits, and says of anything else what is expected."""

    def read(value: object) -> object:
        if isinstance(value, str) and not (re.fullmatch("-?[0-9]{1,30}", value) and lowest <= int(value) <= highest):
            raise PydanticCustomError(
                "whole_number", "{expected}", {"expected": whole_number_expected(lowest, highest)}
            )
        return value

    return BeforeValidator(read)


def _digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,30}", value):
        raise PydanticCustomError("id", "expected a whole number of at most 30 digits, and nothing but digits")
    return value


def _true_or_false(value: object) -> object:
    """As JSON writes it, and in no other of the words that would do."""
    if isinstance(value, str) and value not in _FLAGS:
        raise PydanticCustomError("flag", "expected true or false")
    return _FLAGS[value] if isinstance(value, str) else value


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
    """A parameter given twice has no one meaning, and one that is not UTF-8 none. Raises ParameterError."""
    refuse_undecodable(request.scope["query_string"])
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
        longest_seconds=LONGEST_SECONDS,
    )


async def _existing_id(
    number: Annotated[int, BeforeValidator(_digits), Path(alias="id", description="As lists show it.")],
) -> int:
    if number <= MAX_ID:
        return number
    raise NotFoundError(f"there is nothing with the id {shortened(str(number))}")


RecordId = Annotated[int, Depends(_existing_id)]
"""The `id` of a path. No number is too large to be asked for: there is nothing behind it."""
