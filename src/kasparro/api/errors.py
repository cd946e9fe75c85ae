"""Every error as RFC 9457 problem+json: house errors by their class, the framework's own by their status."""

import difflib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from kasparro.api.wording import told
from kasparro.core.errors import (
    BodyError,
    DatabaseError,
    ForbiddenError,
    KasparroError,
    ParameterError,
    QueryTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
)
from kasparro.core.logging import get_logger
from kasparro.core.masking import mask_text
from kasparro.schemas.pages import Problem, ProblemDetail

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
SHOWN_CHARACTERS: Final = 100
"""Of what a request says, an answer repeats no more."""
_CHALLENGE: Final = 'Bearer realm="kasparro"'
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_log = get_logger(__name__)


def shortened(text: str) -> str:
    """What an answer or a log line repeats of a request: no more than is needed, and nothing that moves a cursor."""
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}.."
    return shown if shown.isprintable() else "".join(map(_printable, shown))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def unknown_parameter(name: str, known: Sequence[str]) -> str:
    """What to say of it: names the nearest parameter that does exist."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (
        f"unknown parameter; did you mean {near[0]!r}?" if near else f"unknown parameter; known are {', '.join(known)}"
    )


def refuse_undecodable(query_string: bytes) -> None:
    """Raises ParameterError for what is not UTF-8, lest it be read as something else."""
    if query_string.isascii() and b"%" not in query_string:
        return
    problems: dict[str, str] = {}
    for pair in query_string.split(b"&"):
        try:
            unquote_to_bytes(pair).decode("utf-8")
        except UnicodeDecodeError:
            name = unquote_to_bytes(pair.partition(b"=")[0]).decode("utf-8", "backslashreplace")
            problems[shortened(name)] = "is not UTF-8"
    if problems:
        raise ParameterError(problems)


def problem_response(request: Request, error: KasparroError, *, status: int | None = None) -> JSONResponse:
    """The body for a house error. Nothing of a cause is shown, and secrets are masked in what is."""
    code = error.http_status if status is None else status
    details = _details(error)
    problem = Problem(
        type=f"urn:kasparro:problem:{error.code}",
        title=HTTPStatus(code).phrase,
        status=code,
        detail=_shown_message(error),
        instance=shortened(request.url.path),
        code=error.code,
        request_id=request.state.request_id,
        errors=details,
    )
    headers = _headers_of(error, code)
    body = problem.model_dump(exclude_none=True, exclude=None if details else {"errors"})
    return JSONResponse(body, code, headers, PROBLEM_MEDIA_TYPE)


def _details(error: KasparroError) -> list[ProblemDetail]:
    if isinstance(error, ParameterError):
        return [ProblemDetail(parameter=name, detail=detail) for name, detail in error.problems.items()]
    if isinstance(error, BodyError):
        return [ProblemDetail(pointer=pointer, detail=detail) for pointer, detail in error.problems.items()]
    return []


def _headers_of(error: KasparroError, status: int) -> dict[str, str]:
    """What a caller's program should know: when to come back, and what kind of key to bring (RFC 6750, 3)."""
    if isinstance(error, TooManyRequestsError):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"' if error.invalid else _CHALLENGE}
    if isinstance(error, ForbiddenError):
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{error.scope}"'}
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def _shown_message(error: KasparroError) -> str:
    """What a caller may read: a database's own words, addresses among them, stay in the log."""
    if isinstance(error, QueryTimeoutError):
        return (
            "the query took longer than it may; ask for less: narrower filters, a cursor for an offset, no exact count"
        )
    if isinstance(error, DatabaseError):
        return "the database cannot be used now; the log has the details under this request_id"
    return mask_text(f"{error.message} ({error.hint})" if error.hint else error.message)


def unexpected_response(request: Request) -> JSONResponse:
    """What a caller sees of an error that nobody expected: the id to look for in the log, nothing else."""
    return problem_response(request, KasparroError("unexpected error; the log has the details under this request_id"))


def add_error_handlers(app: FastAPI) -> None:
    """Answer house errors, invalid parameters and the framework's own errors as problems."""
    app.add_exception_handler(KasparroError, _on_house_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_house_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, KasparroError)
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        stack = None if isinstance(error, DatabaseError) else error  # of an outage, each caller's would be the same
        _log.warning("http.failed", message=error.message, code=error.code, exc_info=stack)
    return problem_response(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    items = error.errors()
    path = request.scope["route"].path
    parameters = {".".join(map(str, item["loc"][1:])): told(item, path) for item in items if item["loc"][0] != "body"}
    if parameters:
        return problem_response(request, ParameterError(parameters))
    return problem_response(request, BodyError({_pointer(item): told(item, path) for item in items}))


def _pointer(item: dict[str, Any]) -> str:
    """The place of a mistake in the body (RFC 6901); what is no JSON has none inside."""
    parts: tuple[str | int, ...] = () if item["type"] == "json_invalid" else item["loc"][1:]
    return "".join("/" + shortened(str(part)).replace("~", "~0").replace("/", "~1") for part in parts)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    house_error = KasparroError(f"{request.method} {shortened(request.url.path)}: {error.detail}")
    house_error.code = _CODES.get(error.status_code, "http")  # pyright: ignore[reportAttributeAccessIssue]
    response = problem_response(request, house_error, status=error.status_code)
    response.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(_allowed_methods(request))
    return response


def _allowed_methods(request: Request) -> list[str]:
    """What the path knows in all its routes (RFC 9110, 10.2.1); HEAD goes wherever GET does."""
    application: FastAPI = request.app
    known = [method for method in _METHODS if _has_route(application, request, method)]
    return ["HEAD", *known] if "GET" in known else known


def _has_route(application: FastAPI, request: Request, method: str) -> bool:
    asked: Scope = {"type": "http", "path": request.scope["path"], "root_path": "", "method": method, "headers": []}
    return any(route.matches(dict(asked))[0] is Match.FULL for route in application.routes)
