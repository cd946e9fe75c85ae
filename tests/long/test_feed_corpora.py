"""Feeds of other projects' test suites, through our source and through feedparser by itself.

`KASPARRO_CORPORA` names the folder with `feeds` in it, `KASPARRO_FEEDPARSER_SUITE` the folder `tests` of feedparser's
source distribution. The tables are shown by `python -m pytest -s -o addopts= tests/long/test_feed_corpora.py`.
"""

import ast
import io
import os
import re
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import feedparser
import jiter
import pytest

from kasparro.core.errors import KasparroError
from kasparro.ingestion.http.contract import Fetched, Validators
from kasparro.ingestion.source import Batch, RecordRejected, Start
from kasparro.ingestion.sources.rss.fields import default_fields
from kasparro.ingestion.sources.rss.options import RssOptions
from kasparro.ingestion.sources.rss.source import RssSource

pytestmark = pytest.mark.long

HOST = "http://127.0.0.1:8097"
SUFFIXES = (".xml", ".rss", ".atom", ".json", ".rdf")
SECONDS = 2.0
HEADER = re.compile(rb"^Header:\s+([^:]+):(.+)$", re.MULTILINE)
EXPECTED = re.compile(
    r"""entries\[(\d+)\]\[['"](title|link|id|guid)['"]\] == (u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
)
OTHERWISE = {
    "item_guid_isPermaLink_ValueError.xml": "feedparser drops a guid that is no URI; here it stays as given",
    "http_entry_id_base_content_location.xml": "a relative id stays as given",
    "http_entry_id_base_docuri.xml": "a relative id stays as given",
    "http_item_link_base_content_location.xml": "RFC 9110 section 8.7: Content-Location is no base",
}
"""What is meant to differ from feedparser, beside markup in titles, which stays in the payload."""
Told = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class Case:
    """A document as a server would send it."""

    suite: str
    path: Path
    body: bytes
    headers: dict[str, str]

    @property
    def url(self) -> str:
        return f"{HOST}{quote(str(self.path))}"


@dataclass
class Documents:
    """A fetcher with these documents."""

    cases: dict[str, Case]

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
        case = self.cases[url]
        return Fetched(url, 200, case.headers, case.body, Validators())


@dataclass
class Outcome:
    """What came of a case: title, link and id of each entry, or the message of a house error."""

    told: list[Told] = field(default_factory=list[Told])
    error: str | None = None
    seconds: float = 0.0
    rejected: int = 0


@pytest.fixture(scope="module")
def corpora() -> Path:
    return named_folder("KASPARRO_CORPORA", "feeds") / "feeds"


@pytest.fixture(scope="module")
def suite() -> Path:
    return named_folder("KASPARRO_FEEDPARSER_SUITE", "wellformed")


def named_folder(variable: str, inside: str) -> Path:
    folder = os.environ.get(variable)
    if folder is None:
        pytest.skip(f"{variable} is not set: it names the folder with {inside} in it")
    if not (Path(folder) / inside).is_dir():
        pytest.fail(f"{variable}={folder}: there is no folder {inside} in it")
    return Path(folder)


def cases_in(folder: Path) -> Iterator[Case]:
    """All documents, each counted under the folder right below `folder`."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            body = path.read_bytes()
            given = {name.decode().lower(): value.decode().strip() for name, value in HEADER.findall(body)}
            kind = "application/json" if path.suffix == ".json" else "application/xml"
            yield Case(path.relative_to(folder).parts[0], path, body, {"content-type": kind} | given)


@asynccontextmanager
async def one_source(cases: list[Case]) -> AsyncGenerator[RssSource]:
    """A source with all of these feeds."""
    documents = {case.url: case for case in cases}
    source = RssSource(RssOptions("news", tuple(documents)), Documents(documents), default_fields)
    async with source.reading_ahead({url: Start() for url in documents}):
        yield source


async def through(source: RssSource, case: Case) -> Outcome:
    outcome, started = Outcome(), time.monotonic()
    try:
        async for item in source.read(case.url, Start()):
            for record in item.records if isinstance(item, Batch) else ():
                entry = record.payload
                outcome.told.append((entry["title"], entry["link"], entry["guid"]))
                try:
                    outcome.rejected += "record_key" not in source.normalize(entry)
                except RecordRejected:
                    outcome.rejected += 1
    except KasparroError as error:
        outcome.error = error.message
    outcome.seconds = time.monotonic() - started
    return outcome


def by_feedparser(case: Case, *, located: bool = True, **options: bool) -> Any:
    """What feedparser gives for the same bytes and headers, or None where it raises."""
    headers = {"content-type": case.headers["content-type"]} | ({"content-location": case.url} if located else {})
    with warnings.catch_warnings(action="ignore"):
        try:
            return feedparser.parse(io.BytesIO(case.body), response_headers=headers, **options)
        except Exception:  # noqa: BLE001 - its faults are part of what is measured
            return None


def told_by(case: Case, **options: bool) -> list[Told]:
    """Ids without the address of the document, so that feedparser leaves them as they are."""
    entries = by_feedparser(case, **options).entries
    unlocated = by_feedparser(case, located=False, **options).entries
    return [
        (dict.get(entry, "title") or None, dict.get(entry, "link") or None, dict.get(same, "id") or None)
        for entry, same in zip(entries, unlocated, strict=True)
    ]


def compared(case: Case, outcome: Outcome) -> str:
    """The row of the table that this case counts in."""
    reference = by_feedparser(case)
    kind = "raises" if reference is None else "not well-formed" if reference.bozo else "well-formed"
    if reference is not None and not reference.entries:
        kind += ", no entries"
    if outcome.error is not None:
        return f"{kind}: refused"
    if reference is None:
        return f"{kind}: read"
    if outcome.told == told_by(case):
        return f"{kind}: equal"
    raw = told_by(case, sanitize_html=False, resolve_relative_uris=False)
    return f"{kind}: equal but for markup in titles" if outcome.told == raw else f"{kind}: differs"


def show(title: str, table: Counter[tuple[str, str]], slowest: tuple[float, str]) -> None:
    print(f"\n{title}")
    for (suite, row), count in sorted(table.items()):
        print(f"{suite:18} {row:58} {count:5}")
    print(f"slowest: {slowest[1]} in {slowest[0]:.2f} s")


async def measure(title: str, cases: list[Case]) -> list[str]:
    """Print the table; returns what must not be."""
    table: Counter[tuple[str, str]] = Counter()
    slowest, bad = (0.0, ""), list[str]()
    async with one_source(cases) as source:
        outcomes = [(case, await through(source, case)) for case in cases]
    for case, outcome in outcomes:
        row = compared(case, outcome) if case.path.suffix != ".json" else compared_json(case, outcome)
        table[case.suite, row] += 1
        slowest = max(slowest, (outcome.seconds, case.path.name))
        if outcome.seconds > SECONDS:
            bad.append(f"{case.path}: took {outcome.seconds:.1f} s")
        if outcome.error is not None and case.url not in outcome.error:
            bad.append(f"{case.path}: an error without the URL: {outcome.error}")
        differs = row in ("well-formed: refused", "well-formed: differs", "JSON Feed: differs", "JSON Feed: refused")
        if differs and case.path.name not in OTHERWISE:
            bad.append(f"{case.path}: {row} {outcome.error or ''}")
    show(title, table, slowest)
    return bad


def compared_json(case: Case, outcome: Outcome) -> str:
    """JSON is no business of feedparser's: entries are counted in the document itself."""
    try:
        document = jiter.from_json(case.body)
    except ValueError:
        return "no JSON: refused" if outcome.error else "no JSON: read"
    if not isinstance(document, dict) or "jsonfeed.org" not in str(document.get("version")):
        return "JSON, no feed: refused" if outcome.error else "JSON, no feed: read"
    items = document.get("items")
    if not isinstance(items, list):
        return "JSON Feed without items: refused" if outcome.error else "JSON Feed without items: read"
    wanted = [(as_text(item.get("title")), as_text(item.get("id"))) for item in items]
    same = [(title, guid) for title, _, guid in outcome.told] == wanted
    return "JSON Feed: equal" if same else "JSON Feed: refused" if outcome.error else "JSON Feed: differs"


def as_text(value: Any) -> str | None:
    return None if isinstance(value, dict | list | bool) or value is None else str(value)


async def test_feedparsers_own_suite(suite: Path) -> None:
    assert await measure("feedparser's own suite", list(cases_in(suite))) == []


async def test_feeds_of_other_projects(corpora: Path) -> None:
    assert await measure("feeds of other projects", list(cases_in(corpora))) == []


async def test_titles_links_and_ids_are_those_that_feedparsers_suite_expects(suite: Path) -> None:
    held, missed = 0, dict[str, str]()
    cases = [case for case in cases_in(suite) if EXPECTED.search(case.body.decode("utf-8", "replace"))]
    async with one_source(cases) as source:
        outcomes = [(case, await through(source, case)) for case in cases]
    for case, outcome in outcomes:
        for number, name, literal in EXPECTED.findall(case.body.decode("utf-8", "replace")):
            told = outcome.told[int(number)] if int(number) < len(outcome.told) else (None, None, None)
            if told[("title", "link", "id").index(name.replace("guid", "id"))] == ast.literal_eval(literal):
                held += 1
            else:
                missed[case.path.name] = f"{name} is {told}, not {literal}"
    print(f"\nexpected titles, links and ids: {held} held, {len(missed)} did not")
    for name, difference in missed.items():
        print(f"{name}: {difference}")
    markup = {name for name, difference in missed.items() if re.match(r"title is \(['\"].*<", difference, re.DOTALL)}
    assert set(missed) - markup <= set(OTHERWISE)
    assert held > 0
