"""What ends a run, or keeps one from beginning."""

from kasparro.core.errors.base import (
    EXIT_CONFLICT,
    EXIT_DIFFERENCES,
    EXIT_SIGTERM,
    EXIT_SOURCE,
    EXIT_SYSTEMIC,
    KasparroError,
)


class FencedError(KasparroError):
    """Another run has claimed this pass: this one must not write any more."""

    code = "fenced"
    http_status = 409
    exit_code = EXIT_CONFLICT


class PassExpiredError(KasparroError):
    """A cursor does not fit its source any more (file replaced, page token expired): the pass begins anew."""

    code = "pass_expired"
    exit_code = EXIT_SOURCE


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


class DriftError(KasparroError):
    """Records are not any more what was accepted, and the source's `drift:` says `fail`: nothing of the batch was
    written. What was found stands in the drift list; accept it, or mend the source or its `map:`."""

    code = "drift"
    exit_code = EXIT_SYSTEMIC


class QualityError(KasparroError):
    """Records do not hold to a quality check of level `fail`: they stay as they are, and the next run judges again.

    It goes on as after a good one.
    """

    code = "quality_check_failed"
    exit_code = EXIT_SYSTEMIC


class TooManyGoneError(KasparroError):
    """So many records are missing from a complete reading that it may not be one: none was deleted. With `--confirm`, a
    run deletes them."""

    code = "too_many_gone"
    exit_code = EXIT_SYSTEMIC


class ConservationError(KasparroError):
    """What was fetched does not add up with what became of it: a fault of kasparro's own."""

    code = "conservation"


class StoppedError(KasparroError):
    """The run was asked to stop (SIGINT, SIGTERM), and what it had committed stays; the next run goes on from there."""

    code = "stopped"
    exit_code = EXIT_SIGTERM


class DeadlineError(KasparroError):
    """The run took longer than a run may (`KASPARRO_RUN_DEADLINE_SECONDS`, `deadline:`); the next one goes on from its
    last committed batch."""

    code = "deadline"
    exit_code = EXIT_SOURCE


class RunConflictError(KasparroError):
    """Another run holds the source."""

    code = "run_conflict"
    http_status = 409
    exit_code = EXIT_CONFLICT


class PlanOutdatedError(KasparroError):
    """A plan is not what would happen now: it was applied, or the data, the mapping or the configuration changed."""

    code = "plan_outdated"
    http_status = 409
    exit_code = EXIT_DIFFERENCES


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
