"""Replaying records of an API and of a feed: a clean load under the new mapping comes to the same."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.job import SourceJob
from kasparro.ingestion.operations.replay import Chosen, Replay, plan, replay_job
from kasparro.ingestion.registry import build_transformer
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.configuration import config_hash, mapping_hash, mapping_text, parse_configuration
from kasparro.services import digest, sources
from tests.http_server import Reply, Upstream, answer, running
from tests.http_server import Request as Asked
from tests.recovery.small_sources import SMALL, SmallSources, small_sources
from tests.replays import counts

NUMBERS = [
    '{"id": 1, "name": 1.50, "price": 0.10, "kind": {"a": [1, 2.0, null, true]}}',
    '{"id": "2", "name": 12345678901234567890.123456789, "price": "7", "kind": []}',
    '{"id": 3, "name": "x\\ty", "price": -0.0, "kind": "\\u00e4"}',
]
NEW = {"api": "map: {title: kind, body: name, value: price, attributes: '*'}", "rss": "map: {title: summary}"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[SmallSources, Upstream]]:
    async with running() as upstream, small_sources(tmp_path, upstream) as made:
        yield made, upstream


def in_numbers(request: Asked) -> Reply:
    items = "" if int(request.query["offset"]) else ", ".join(NUMBERS)
    return answer(body=f'{{"items": [{items}]}}', headers={"Content-Type": "application/json"})


def mapped_anew(job: SourceJob, source_type: str, path: Path) -> SourceJob:
    """The job under another mapping."""
    text = path.read_text(encoding="utf-8")
    begin = text.index("map: ", text.index(f"name: {source_type}"))
    end = text.index("}", begin) + 1
    changed = text[:begin] + NEW[source_type] + text[end:]
    config = {each.name: each for each in parse_configuration(changed, {}).sources}[source_type]
    return replace(
        job, transformer=build_transformer(config), mapping_hash=mapping_hash(config),
        mapping_text=mapping_text(config), config_hash=config_hash(config),
    )  # fmt: skip


@pytest.mark.parametrize(("source_type", "numbers"), [("api", False), ("api", True), ("rss", False)])
async def test_replay_of_any_type_ends_as_a_clean_load(
    database: ConnectionOptions,
    connection: Connection,
    place: tuple[SmallSources, Upstream],
    source_type: str,
    numbers: bool,
) -> None:
    made, upstream = place
    if numbers:
        upstream.on("/items", in_numbers)
    conditions = Conditions(database, limits=SMALL)
    job = made.job(source_type, "replayed")
    assert (await run_source(job, Request(), conditions)).error is None
    new = mapped_anew(job, source_type, made.path)
    planned = await plan(connection, new, Chosen())
    assert counts(planned).keys() == {"changed"}
    outcome = await run_source(
        replay_job(new, database, planned), Request(lanes=2, operation=Replay(planned, new.config_hash)), conditions
    )
    assert outcome.error is None
    clean = mapped_anew(made.job(source_type, "clean"), source_type, made.path)
    assert (await run_source(clean, Request(), conditions)).error is None
    rejected = await connection.fetchval("select count(*) from rejected_records where state = 'open'")
    if not rejected:
        digests = [
            await digest.now(connection, (await sources.get(connection, name)).id) for name in ("replayed", "clean")
        ]
        assert digests[0] == digests[1]
    differing = await connection.fetch(
        "select a.record_key from unified_data a join unified_data b using (record_key) "
        "where a.source_id <> b.source_id and a.record_hash <> b.record_hash"
    )
    assert differing == []


async def test_record_whose_stored_payload_makes_another_key_is_counted_and_left_alone(
    database: ConnectionOptions, connection: Connection, place: tuple[SmallSources, Upstream]
) -> None:
    """jsonb keeps the value of a number, and not how it was written: the key was `1E+2`, and would be `100` now."""
    made, upstream = place

    def written(request: Asked) -> Reply:
        items = "" if int(request.query["offset"]) else '{"id": 1E+2, "name": "a"}, {"id": 3, "name": "b"}'
        return answer(body=f'{{"items": [{items}]}}', headers={"Content-Type": "application/json"})

    upstream.on("/items", written)
    conditions = Conditions(database, limits=SMALL)
    job = made.job("api", "replayed")
    assert (await run_source(job, Request(), conditions)).error is None
    new = mapped_anew(job, "api", made.path)
    planned = await plan(connection, new, Chosen())
    assert counts(planned) == {"changed": 1, "other_key": 1}
    outcome = await run_source(
        replay_job(new, database, planned), Request(operation=Replay(planned, new.config_hash)), conditions
    )
    assert outcome.row is not None
    assert (outcome.row["updated"], outcome.row["unchanged"]) == (1, 1)
    rows = await connection.fetch("select record_key, title, body from unified_data order by 1")
    assert [tuple(row) for row in rows] == [("1E+2", "a", None), ("3", None, "b")]
