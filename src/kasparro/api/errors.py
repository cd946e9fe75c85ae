"""Every error as RFC 9457 problem+json: house errors by their class, the framework's own by their status."""

import difflib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kasparro.core.errors import DatabaseError, KasparroError, UsageError
from kasparro.core.logging import get_logger
from kasparro.core.masking import mask_text
from kasparro.schemas.pages import Problem, ProblemDetail

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_log = get_logger(__name__)


class ParameterError(UsageError):
    """A query parameter is unknown, repeated or out of its range."""

    code = "parameter"

    def __init__(self, message: str, details: Sequence[ProblemDetail]) -> None:
        super().__init__(message)
        self.details = list(details)


def unknown_parameter(name: str, known: Sequence[str]) -> ProblemDetail:
    """Names the nearest parameter that does exist."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    suggestion = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return ProblemDetail(parameter=name, detail=f"unknown parameter; {suggestion}")


def problem_response(
    request: Request, error: KasparroError, *, status: int | None = None, details: Sequence[ProblemDetail] = ()
) -> JSONResponse:
    """The body for a house error. Nothing of a cause is shown, and secrets are masked in what is."""
    code = error.http_status if status is None else status
    message = _shown_message(error)
    problem = Problem(
        type=f"urn:kasparro:problem:{error.code}",
        title=HTTPStatus(code).phrase,
        status=code,
        detail=message,
        instance=request.url.path,
        code=error.code,
        request_id=request.state.request_id,
        errors=list(details),
    )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if code == HTTPStatus.SERVICE_UNAVAILABLE else None
    body = problem.model_dump(exclude_none=True, exclude=None if details else {"errors"})
    return JSONResponse(body, code, headers, PROBLEM_MEDIA_TYPE)


def _shown_message(error: KasparroError) -> str:
    """What a caller may read: a database's own words, addresses among them, stay in the log."""
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
        _log.warning("http.failed", message=error.message, exc_info=error)
    details = error.details if isinstance(error, ParameterError) else ()
    return problem_response(request, error, details=details)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = [_detail(item) for item in error.errors()]
    message = "; ".join(f"{detail.parameter}: {detail.detail}" for detail in details)
    return problem_response(request, ParameterError(message, details), details=details)


def _detail(item: dict[str, Any]) -> ProblemDetail:
    return ProblemDetail(parameter=".".join(str(part) for part in item["loc"][1:]) or None, detail=item["msg"])


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    house_error = KasparroError(f"{request.method} {request.url.path}: {error.detail}")
    house_error.code = _CODES.get(error.status_code, "http")  # pyright: ignore[reportAttributeAccessIssue]
    response = problem_response(request, house_error, status=error.status_code)
    response.headers.update(error.headers or {})
    return response
