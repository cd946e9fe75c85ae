"""Tell the caller: what a command line or a request asks for is not there, not allowed, or not understood."""

from collections.abc import Mapping

from kasparro.core.errors.base import EXIT_USAGE, KasparroError


class UsageError(KasparroError):
    """The command line or request asks for something that does not exist."""

    code = "usage"
    http_status = 400
    exit_code = EXIT_USAGE


class ParameterError(UsageError):
    """A query parameter is unknown, repeated or out of its range; `problems` says for each what is wrong."""

    code = "parameter"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {detail}" for name, detail in problems.items()))
        self.problems = dict(problems)


class BodyError(UsageError):
    """The body of a request is malformed; `problems` says for each JSON pointer (RFC 6901) what is wrong there."""

    code = "body"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"body{pointer}: {detail}" for pointer, detail in problems.items()))
        self.problems = dict(problems)


class CursorExpiredError(UsageError):
    """A cursor of a list was signed with a key that is gone, or by an older version: begin again without it."""

    code = "cursor_expired"
    http_status = 410


class NotAcceptableError(UsageError):
    """The request's `Accept` allows none of the formats that there are."""

    code = "not_acceptable"
    http_status = 406


class NotFoundError(KasparroError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404
    exit_code = EXIT_USAGE


class IncomparableError(UsageError):
    """Two runs that have nothing to be compared by: of two sources, one and the same, or one that has not begun."""

    code = "incomparable"
    http_status = 422


class UnauthorizedError(KasparroError):
    """The request needs a key and has none (`invalid` False), or has one that is not valid."""

    code = "unauthorized"
    http_status = 401

    def __init__(self, message: str, *, invalid: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.invalid = invalid


class ForbiddenError(KasparroError):
    """The key is valid, and does not grant the scope that the request needs."""

    code = "forbidden"
    http_status = 403

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class TooManyRequestsError(KasparroError):
    """A key or an address has used up what it may ask for now; it may come back after `retry_after_seconds`."""

    code = "too_many_requests"
    http_status = 429

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RequestTimeoutError(KasparroError):
    """The body of a request did not arrive in time."""

    code = "request_timeout"
    http_status = 408


class ContentTooLargeError(KasparroError):
    """The body of a request is larger than any that is expected."""

    code = "content_too_large"
    http_status = 413


class UriTooLongError(KasparroError):
    """The path and query of a request are longer than any that is expected."""

    code = "uri_too_long"
    http_status = 414


class UnsupportedMediaTypeError(KasparroError):
    """The body of a request is something else than JSON."""

    code = "unsupported_media_type"
    http_status = 415


class MisdirectedRequestError(KasparroError):
    """The request is for a host that is not this one: a page elsewhere may have turned its own name to us."""

    code = "misdirected_request"
    http_status = 421


class HeadersTooLargeError(KasparroError):
    """The headers of a request are larger than any that are expected."""

    code = "headers_too_large"
    http_status = 431
