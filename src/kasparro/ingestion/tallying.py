"""Transactions that also write what the HTTP client has counted: nothing twice, and little is lost by a kill."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kasparro.core.database import Connection, house_errors
from kasparro.core.errors import ContentionError
from kasparro.ingestion.http.tally import Counts, Tally
from kasparro.services import metric_counters


@dataclass(frozen=True, slots=True)
class Tallying:
    """Writes the tally of one source."""

    tally: Tally
    source_id: int

    @asynccontextmanager
    async def transaction(self, connection: Connection) -> AsyncGenerator[None]:
        """A transaction that ends with the counts of the tally.

        What is rolled back is tallied again. Where nobody knows whether the commit came to pass, it is not: a counter
        that says a little less is better than one that says it twice.
        """
        counts = self.tally.take()
        committing = False
        try:
            async with connection.transaction():
                yield
                await self._add(connection, counts)
                committing = True
        except BaseException:
            if not committing:
                self.tally.give_back(counts)
            raise

    async def write(self, connection: Connection) -> None:
        """Write the counts now. What another transaction is in the way of is written the next time."""
        counts = self.tally.take()
        try:
            with house_errors():
                await self._add(connection, counts)
        except ContentionError:
            self.tally.give_back(counts)

    async def _add(self, connection: Connection, counts: Counts) -> None:
        counted = [(name, label, value) for (name, label), value in counts.items()]
        await metric_counters.add(connection, self.source_id, counted)
