"""One source's fetcher: tries, redirects, conditional requests, and heed for what servers say of their limits."""

from collections.abc import Collection, Mapping

import httpx

from kasparro.ingestion.http.calls import Call, Host, first_call, redirect_location, redirected
from kasparro.ingestion.http.clock import Budget, Clock
from kasparro.ingestion.http.contract import Fetched, HttpPolicy, Validators
from kasparro.ingestion.http.exchange import Response, exchange
from kasparro.ingestion.http.failures import RETRYABLE_STATUSES, AttemptFailed
from kasparro.ingestion.http.hints import asked_pause, come_back_in
from kasparro.ingestion.http.pacing import Pace
from kasparro.ingestion.http.reporting import Exchanged, Reporter
from kasparro.ingestion.http.retrying import GaveUp, retried
from kasparro.ingestion.http.tracing import sending


class BoundFetcher:
    """The client as one source sees it; see contract.Fetcher."""

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        pace: Pace,
        clock: Clock,
        policy: HttpPolicy,
        defaults: Mapping[str, str],
        reporter: Reporter,
    ) -> None:
        self._transport = transport
        self._pace = pace
        self._clock = clock
        self._policy = policy
        self._headers = ({**defaults}, policy.headers)
        self._report = reporter
        self._secrecy = reporter.secrecy

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Validators | None = None,
        accept: Collection[int] = (),
    ) -> Fetched:
        """Fetch with GET; see contract.Fetcher.get."""
        budget = Budget(self._clock, self._policy.total_seconds)
        known = validators if validators and (validators.etag or validators.last_modified) else None
        wanted = frozenset({*accept, 304} if known else accept)

        async def attempt(number: int) -> Fetched:
            call = first_call(url, params, (*self._headers, headers or {}), known, self._secrecy)
            answered, response = await self._followed(call, wanted, budget, number)
            return self._fetched(answered, response, known)

        try:
            return await retried(
                attempt,
                attempts=self._policy.attempts,
                budget=budget,
                clock=self._clock,
                report=lambda failure, number, wait: self._report.retry(url, failure, number, wait),
            )
        except GaveUp as gave_up:
            raise self._report.error(url, gave_up, budget.spent_seconds) from gave_up.failure

    async def _followed(self, call: Call, wanted: frozenset[int], budget: Budget, number: int) -> tuple[Call, Response]:
        """The first wanted answer on the way that redirects lead. Raises AttemptFailed."""
        visited, asked = [call.url], call.host
        try:
            while not (response := await self._exchanged(call, asked, wanted, budget, number)).wanted:
                location = redirect_location(response.status, response.headers)
                if location is None:
                    raise self._refused(response)
                call = redirected(call, location, visited, self._secrecy)
                visited.append(call.url)
        except AttemptFailed as failure:
            failure.url = self._secrecy.url(call.url)
            failure.redirected_from = self._secrecy.url(visited[0]) if len(visited) > 1 else None
            raise
        return call, response

    async def _exchanged(
        self, call: Call, asked: Host, wanted: frozenset[int], budget: Budget, number: int
    ) -> Response:
        """One request, when it is its turn; `asked` is the host that the source names. Raises AttemptFailed."""
        async with self._pace.slot(call.host, budget) as waited:
            done = Exchanged(number, waited)
            began = self._clock.monotonic()
            seconds = max(0.0, min(self._policy.attempt_seconds, budget.remaining_seconds))
            try:
                with sending(call, number, self._secrecy, asked=call.host == asked) as going:
                    response = await exchange(self._transport, going.call, self._policy, wanted, seconds=seconds)
                    going.answered(response.status)
                done.status, done.size_bytes = response.status, len(response.body)
            except AttemptFailed as failure:
                done.reason = failure.reason
                raise
            finally:
                done.seconds = self._clock.monotonic() - began
                self._report.request(call.url, done)
            pause = asked_pause(response.status, response.headers, self._clock.wall())
            if pause is not None:
                self._pace.pause(call.host, pause)
            return response

    def _refused(self, response: Response) -> AttemptFailed:
        return AttemptFailed(
            "status",
            f"answered {response.told(self._secrecy.text)}",
            retryable=response.status in RETRYABLE_STATUSES,
            status=response.status,
            retry_after_seconds=come_back_in(response.status, response.headers, self._clock.wall()),
        )

    def _fetched(self, call: Call, response: Response, known: Validators | None) -> Fetched:
        fresh = Validators(response.headers.get("etag"), response.headers.get("last-modified"))
        not_modified = response.status == 304 and known is not None
        if not_modified and known is not None:
            fresh = Validators(fresh.etag or known.etag, fresh.last_modified or known.last_modified)
        url = str(self._secrecy.without_secrets(call.url))
        return Fetched(url, response.status, response.headers, response.body, fresh, not_modified)
