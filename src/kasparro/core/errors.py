"""Every error that kasparro raises on purpose, typed by what the one who catches it does next.

Each has a stable `code`, a message for people, an HTTP status (RFC 9457 bodies carry both) and an exit code
(`docs/reference/exit-codes.md`). Whoever raises names the file, line, field or URL at fault in the message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 3
EXIT_SOURCE = 4
EXIT_DATABASE = 5
EXIT_REJECTS = 6
EXIT_SYSTEMIC = 7
EXIT_CONFLICT = 8
EXIT_DIFFERENCES = 9
EXIT_PAUSED = 75
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class KasparroError(Exception):
    """Root of all house errors. `hint` says what to do next, where there is something to do."""

    code: ClassVar[str] = "unexpected"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_UNEXPECTED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def about(self, source: str) -> str:
        """The message for where the source's name stands beside it: without `source NAME: ` at its beginning."""
        return self.message.removeprefix(f"source {source}: ")


# -- refuse to start ---------------------------------------------------------------------------------------------


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


class ConfigurationError(KasparroError):
    """The configuration or an environment variable is wrong; the message names file, line and field."""

    code = "configuration"
    http_status = 422
    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One thing wrong in the configuration file; line and column count from 1."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.field + ': ' if self.field else ''}{self.message}"


class InvalidConfigurationError(ConfigurationError):
    """The configuration file has problems: all of them, in the order of their lines."""

    code = "invalid_configuration"

    def __init__(self, problems: Sequence[ConfigurationProblem], *, hint: str | None = None) -> None:
        variables = any("environment variable" in problem.message for problem in problems)
        hint = hint or ("set it in the environment, or in .env by a line NAME=value" if variables else None)
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = tuple(problems)


class IdentityChangedError(ConfigurationError):
    """A source's `type` or `key` was changed although it has data."""

    code = "identity_changed"
    http_status = 409


class DatabaseError(KasparroError):
    """The database cannot be used as it is."""

    code = "database"
    http_status = 503
    exit_code = EXIT_DATABASE


class DatabaseUrlError(DatabaseError):
    """`DATABASE_URL` is malformed or asks for something that cannot be honoured."""

    code = "database_url"
    exit_code = EXIT_CONFIGURATION


class DatabaseUnreachableError(DatabaseError):
    """No connection could be made, or the server refused it."""

    code = "database_unreachable"


class DatabaseVersionError(DatabaseError):
    """The server is older than the oldest PostgreSQL that is supported."""

    code = "database_version"


class DatabaseFullError(DatabaseError):
    """The server has no room left (disk, or connections)."""

    code = "database_full"


class QueryTimeoutError(DatabaseError):
    """A statement took longer than it may: asked again it would take as long, so ask for less."""

    code = "query_timeout"
    http_status = 422


class MigrationsPendingError(DatabaseError):
    """The schema is older than the code: run `kasparro migrate`."""

    code = "migrations_pending"


class DatabaseNewerError(DatabaseError):
    """The schema was made by a newer kasparro than this one."""

    code = "database_newer"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL could not be set up, started or stopped."""

    code = "embedded_server"


# -- start again from the database -------------------------------------------------------------------------------


class ConnectionLostError(DatabaseError):
    """A connection ended, or the outcome of a commit is unknown: nothing in memory may be trusted any more."""

    code = "connection_lost"


class ContentionError(DatabaseError):
    """A serialization failure, deadlock or lock time-out: the transaction wrote nothing and may be repeated."""

    code = "contention"


class FencedError(KasparroError):
    """Another run has claimed this pass: this one must not write any more."""

    code = "fenced"
    http_status = 409
    exit_code = EXIT_CONFLICT


class PassExpiredError(KasparroError):
    """A cursor does not fit its source any more (file replaced, page token expired): the pass begins anew."""

    code = "pass_expired"
    exit_code = EXIT_SOURCE


# -- fail the run ------------------------------------------------------------------------------------------------


class SourceError(KasparroError):
    """A source cannot be reached or read; other sources go on."""

    code = "source"
    http_status = 502
    exit_code = EXIT_SOURCE
    retry_after_seconds: float | None = None
    """When the server wants to be asked again, if it said so; before that no run can succeed."""


class UpstreamError(SourceError):
    """An upstream server did not answer, or not with what was asked for.

    `status` is its HTTP status if it gave one, `url` carries no credentials; `retry_after_seconds` is the server's own
    word on when to come back, if it gave one.
    """

    code = "upstream"

    def __init__(
        self,
        message: str,
        *,
        url: str,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.url = url
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class RecordsMissingError(SourceError):
    """An answer is JSON, but has no records where they should stand; the message shows what is there."""

    code = "records_missing"


class SystemicError(KasparroError):
    """So many records of one batch were rejected that the source or its mapping must be wrong."""

    code = "systemic"
    exit_code = EXIT_SYSTEMIC


class ConservationError(KasparroError):
    """What was fetched does not add up with what became of it: a fault of kasparro's own."""

    code = "conservation"


class StoppedError(KasparroError):
    """The run was asked to stop (SIGINT, SIGTERM) and did so at a batch's edge; the next run goes on from there."""

    code = "stopped"
    exit_code = EXIT_SIGTERM


class RunConflictError(KasparroError):
    """Another run holds the source."""

    code = "run_conflict"
    http_status = 409
    exit_code = EXIT_CONFLICT


class RunActiveError(KasparroError):
    """A run of the source is queued or at work already: wait for that one, or repeat its Idempotency-Key."""

    code = "run_active"
    http_status = 409
    exit_code = EXIT_CONFLICT


class NoWorkerError(KasparroError):
    """No scheduler has asked for queued runs within the last minute, so nobody would claim one: start it."""

    code = "no_worker"
    http_status = 503


class RunFailedError(KasparroError):
    """A run that somebody waited for did not end well; the message names it, and why."""

    code = "run_failed"
    http_status = 502


class NotFoundError(KasparroError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404
    exit_code = EXIT_USAGE


# -- tell the caller ---------------------------------------------------------------------------------------------


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
