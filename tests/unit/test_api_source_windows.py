"""Windows over an API that changes all the time: in the end, nothing that was changed has been missed."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.core.errors import SourceError
from kasparro.ingestion.http.contract import Fetched, Validators
from kasparro.ingestion.source import Batch, BatchLimits, FinalBatch, Json, Start
from kasparro.ingestion.sources.api import ApiOptions, ApiSource, CursorPagination, Incremental

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Change = tuple[int, int]
"""Before which request (from the last change on), and which record is made or changed."""


@dataclass
class Moving:
    """Pages by id, two to a page; every request takes a second, and changes come in before some of them.

    Requests whose number is in `failing` fail.
    """

    changes: list[Change]
    failing: frozenset[int]
    order: str
    clock: datetime = BEGAN
    records: dict[int, str] = field(default_factory=lambda: dict.fromkeys(range(1, 8), BEGAN.isoformat()))
    asked: int = 0

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        validators: Validators | None = None,
        accept: Collection[int] = (),
    ) -> Fetched:
        del params, headers, validators, accept
        self.asked += 1
        self.clock += timedelta(seconds=1)
        while self.changes and self.changes[0][0] <= self.asked:
            self.records[self.changes.pop(0)[1]] = self.clock.isoformat()
        if self.asked in self.failing:
            raise SourceError("not now")
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        body = json.dumps(self._page(query.get("since", ""), query.get("cursor")))
        return Fetched(url, 200, {}, body.encode(), Validators())

    def _page(self, since: str, cursor: str | None) -> Json:
        """By id, or by time and id: a record that changes while it is read moves to the end of the latter."""
        found = [(stamp if self.order == "updated" else "", number, stamp) for number, stamp in self.records.items()]
        after = (cursor.partition("|")[0], int(cursor.partition("|")[2])) if cursor else ("", -1)
        rest = sorted(each for each in found if each[2] >= since and each[:2] > after)
        page = rest[:2]
        following = f"{page[-1][0]}|{page[-1][1]}" if len(rest) > 2 else None
        return {"data": [{"id": number, "updated": stamp} for _, number, stamp in page], "next": following}


async def load(upstream: Moving) -> dict[int, str]:
    """What a database has after a pass that began behind the last change; passes that fail are resumed."""
    incremental = Incremental("updated", "since")
    options = ApiOptions(
        "moving", "https://api.example.org/x", records="data", pagination=CursorPagination("next"),
        incremental=incremental,
    )  # fmt: skip
    source = ApiSource(options, upstream, dict, now=lambda: upstream.clock)
    loaded: dict[int, str] = {}
    settled, cursor, ended, was_quiet = None, None, False, False
    while not (ended and was_quiet):
        if cursor is None:
            ended, was_quiet = False, not upstream.changes
        try:
            async for item in source.read("", Start(settled, cursor, BatchLimits(records=2))):
                if isinstance(item, FinalBatch):
                    settled, cursor, ended = item.state, None, True
                    continue
                assert isinstance(item, Batch)
                loaded |= {record.payload["id"]: record.payload["updated"] for record in item.records}
                cursor = item.cursor
        except SourceError:
            continue
    return loaded


@settings(max_examples=50, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 9)), max_size=12),
    failing=st.frozensets(st.integers(1, 12), max_size=4),
    order=st.sampled_from(("id", "updated")),
)
def test_no_change_is_missed_whenever_it_is_made(changes: list[Change], failing: frozenset[int], order: str) -> None:
    upstream = Moving(sorted(changes), failing, order)

    loaded = asyncio.run(load(upstream))
    assert loaded == upstream.records
