"""Counters, rows and raw chains do not depend on the size of batches, the number of lanes, or where a resume began."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.run import Conditions, run_source
from kasparro.services import digest
from tests.scripted import ScriptedSource, job_of, row

COUNTERS = (
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "duplicate",
    "rejected",
    "filtered",
    "deleted",
    "raw_written",
)


@dataclass
class OneAtATime:
    """What must come out, worked out record by record: the definition that batches have to live up to."""

    unified: dict[str, dict[str, Any]] = field(default_factory=dict)
    raw: list[tuple[str | None, str, int | None]] = field(default_factory=list)
    rejects: dict[str, int] = field(default_factory=dict)

    def run(self, records: list[dict[str, Any]], pass_number: int, mapping: str) -> dict[str, int]:
        counts: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        before = len(self.raw)
        for record in records:
            counts["fetched"] += 1
            counts[self._one(record, pass_number, mapping)] += 1
        counts["raw_written"] = len(self.raw) - before
        return counts

    def _one(self, record: dict[str, Any], pass_number: int, mapping: str) -> str:
        key, text = record["key"], repr(sorted(record.items(), key=str))
        if record.get("deleted") and record["key"] is not None:
            return self._tombstone(key, text)
        if record.get("skip"):
            return "filtered"
        known = self.unified.get(key)
        if record.get("bad") or key is None:
            if text not in self.rejects:
                self.raw.append((key, text, known["raw"] if known else None))
            self.rejects[text] = self.rejects.get(text, 0) + 1
            return "rejected"
        outcome = "unchanged"
        if known is None:
            outcome = "inserted"
        elif known["deleted"]:
            outcome = "updated"
        elif known["pass"] == pass_number:
            outcome = "duplicate"
        elif (known["text"], known["mapping"]) != (text, mapping):
            outcome = "updated"
        raw = known["raw"] if known else None
        if known is None or known["text"] != text:
            self.raw.append((key, text, raw))
            raw = len(self.raw) - 1
        if outcome in {"inserted", "updated"} or raw != (known or {}).get("raw"):
            state = {"pass": pass_number, "text": text, "mapping": mapping, "raw": raw, "record": record}
            self.unified[key] = {**state, "deleted": False}
        return outcome

    def _tombstone(self, key: str, text: str) -> str:
        known = self.unified.get(key)
        if known is None or known["deleted"]:
            return "unchanged"
        self.raw.append((key, text, known["raw"]))
        self.unified[key] = {**known, "text": text, "raw": len(self.raw) - 1, "deleted": True}
        return "deleted"

    def chain(self) -> set[tuple[str | None, str | None, str | None]]:
        """Each raw row by key and payload, with the payload that its `prev_raw_id` names."""
        return {(key, text, None if prev is None else self.raw[prev][1]) for key, text, prev in self.raw}


def stream(random_: random.Random, length: int, *, tombstones: bool = False) -> list[dict[str, Any]]:
    keys = [f"k{n}" for n in range(6)]
    records: list[dict[str, Any]] = []
    for _ in range(length):
        kind = random_.random()
        title = random_.choice("abc")
        if kind < 0.1:
            records.append(row(random_.choice([*keys, None]), title, bad=True))
        elif kind < 0.2:
            records.append(row(random_.choice(keys), title, skip=True))
        elif tombstones and kind < 0.45:
            records.append(row(random_.choice([*keys, None] if kind < 0.25 else keys), title, deleted=True))
        else:
            records.append(row(random_.choice(keys), title))
    return records


async def load(options: ConnectionOptions, passes: list[Any], batch_size: int, lanes: int) -> list[dict[str, int]]:
    counts: list[dict[str, int]] = []
    for mapping, records in passes:
        source = ScriptedSource({"p": records}, batch_size=batch_size)
        outcome = await run_source(job_of(source, mapping=mapping), Request(lanes=lanes), Conditions(options))
        assert outcome.error is None
        assert outcome.row is not None
        counts.append({name: outcome.row[name] for name in COUNTERS})
    return counts


async def raw_chain(connection: Connection) -> set[tuple[str | None, str | None, str | None]]:
    rows = await connection.fetch(
        "select r.record_key, r.payload::text as payload, p.payload::text as previous "
        "from raw_csv_data r left join raw_csv_data p on p.id = r.prev_raw_id"
    )
    return {(item["record_key"], _text(item["payload"]), _text(item["previous"])) for item in rows}


def _text(payload: str | None) -> str | None:
    import json

    return None if payload is None else repr(sorted(json.loads(payload).items(), key=str))


async def verified(connection: Connection) -> bool:
    """Whether the digest that each batch moved on is that of the live records."""
    async with connection.transaction():
        source_id = await connection.fetchval("select id from sources")
        return await digest.now(connection, source_id) == await digest.recompute(connection, source_id)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("batch_size", "lanes"), [(1, 1), (3, 1), (7, 3), (1000, 1), (1000, 3)])
async def test_records_count_as_if_they_came_one_at_a_time(
    database: ConnectionOptions, connection: Connection, seed: int, batch_size: int, lanes: int
) -> None:
    random_ = random.Random(seed)
    tombstones = seed % 2 == 1
    passes = [(mapping, stream(random_, 25, tombstones=tombstones)) for mapping in ("1", "1", "2")]
    model = OneAtATime()
    expected = [model.run(records, number, mapping) for number, (mapping, records) in enumerate(passes)]

    counted = await load(database, passes, batch_size, lanes)

    assert counted == expected
    assert await raw_chain(connection) == model.chain()
    unified = await connection.fetch(
        "select u.record_key, u.title, u.deletion, u.deleted_at, r.payload::text as payload, u.content_hash, "
        "r.content_hash as raw_hash from unified_data u join raw_csv_data r on r.id = u.raw_id"
    )
    assert {(item["record_key"], item["title"], _text(item["payload"]), item["deletion"]) for item in unified} == {
        (key, state["record"]["title"], state["text"], "tombstone" if state["deleted"] else None)
        for key, state in model.unified.items()
    }
    assert all((item["deleted_at"] is None) == (item["deletion"] is None) for item in unified)
    assert all(item["content_hash"] == item["raw_hash"] for item in unified)
    assert await verified(connection)
    times = await connection.fetch("select sum(times)::int as times from rejected_records group by content_hash")
    assert sorted(item["times"] for item in times) == sorted(model.rejects.values())


async def test_digest_is_the_same_for_any_batch_size_and_number_of_lanes(
    database: ConnectionOptions, connection: Connection
) -> None:
    digests: set[str] = set()
    records = stream(random.Random(1), 60, tombstones=True)
    for number, (batch_size, lanes) in enumerate([(1, 1), (4, 2), (1000, 3), (10, 7)]):
        source = ScriptedSource({"p": records}, batch_size=batch_size, name=f"source{number}")
        outcome = await run_source(job_of(source), Request(lanes=lanes), Conditions(database))
        assert outcome.row is not None
        source_id = outcome.row["source_id"]
        assert await digest.now(connection, source_id) == int(outcome.row["digest"])
        async with connection.transaction():
            assert await digest.recompute(connection, source_id) == int(outcome.row["digest"])
        digests.add(digest.as_text(int(outcome.row["digest"])))
    assert len(digests) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_places_of_resumes_show_in_no_counter(
    database: ConnectionOptions, connection: Connection, seed: int
) -> None:
    random_ = random.Random(100 + seed)
    model, lanes, size = OneAtATime(), 1 + seed % 3, random_.choice([1, 4, 9])
    for number in range(2):
        records = stream(random_, 30, tombstones=True)
        expected = model.run(records, number, "1")
        total = dict.fromkeys(COUNTERS, 0)
        for stop in [*sorted(random_.sample(range(1, 30), 2)), 1000]:
            source = ScriptedSource({"p": records}, batch_size=size, before=_failing_at(stop))
            outcome = await run_source(job_of(source), Request(lanes=lanes), Conditions(database))
            assert outcome.row is not None
            total = {name: total[name] + outcome.row[name] for name in COUNTERS}
        assert total == expected
    assert await raw_chain(connection) == model.chain()
    deleted = await connection.fetch("select record_key from unified_data where deletion = 'tombstone'")
    assert {item["record_key"] for item in deleted} == {key for key, it in model.unified.items() if it["deleted"]}
    assert await verified(connection)


def _failing_at(position: int) -> Callable[[str, int], None]:
    def before(_partition: str, at: int) -> None:
        if at >= position:
            raise SourceError("the source went away")

    return before
