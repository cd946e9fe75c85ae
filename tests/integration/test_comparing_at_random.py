"""Readings of a source that changes at random, compared pair by pair, against a model that does it record by record."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.core.errors import SourceError
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.operations.compared_kinds import KINDS
from kasparro.ingestion.operations.comparing import Listing, compare
from kasparro.ingestion.run import Conditions, run_source
from kasparro.schemas.configuration import Deletes
from tests.scripted import ScriptedSource, job_of, row

READINGS = 6
KEYS = [f"k{number}" for number in range(14)]


@dataclass(frozen=True)
class State:
    """Of a record: the payload it points at, by a number for each that was stored, and the reading that deleted it."""

    number: int
    payload: tuple[Any, ...]
    deleted_in: int | None = None

    @property
    def is_buried(self) -> bool:
        """Whether a tombstone has deleted it."""
        return self.deleted_in is not None and ("deleted", True) in self.payload


@dataclass
class Model:
    """What is known of records after each reading, which keys each has named, and its run."""

    has_snapshots: bool
    stored: int = 0
    now: dict[str, State] = field(default_factory=dict[str, State])
    after: list[dict[str, State]] = field(default_factory=list[dict[str, State]])
    seen: list[set[str]] = field(default_factory=list[set[str]])
    runs: list[int] = field(default_factory=list[int])

    def read(self, records: list[dict[str, Any]], run: int) -> None:
        seen: set[str] = set()
        for record in records:
            self._take(record)
            if record["key"] in self.now:
                seen.add(record["key"])
        for key, state in self.now.items():
            if self.has_snapshots and key not in seen and state.deleted_in is None:
                self.now[key] = replace(state, deleted_in=len(self.after))
        self.after.append(dict(self.now))
        self.seen.append(seen)
        self.runs.append(run)

    def _take(self, record: dict[str, Any]) -> None:
        known, payload = self.now.get(record["key"]), tuple(sorted(record.items()))
        if record.get("bad") or record.get("skip"):
            return
        is_tombstone = bool(record.get("deleted"))
        if is_tombstone and (known is None or known.deleted_in is not None):
            return
        if known is None or known.payload != payload:
            self.stored += 1
            self.now[record["key"]] = State(self.stored, payload, len(self.after) if is_tombstone else None)
        elif known.deleted_in is not None:
            self.now[record["key"]] = replace(known, deleted_in=None)

    def compared(self, base: int, target: int) -> dict[str, set[str]]:
        """Keys by kind."""
        one, two, before, after = self.seen[base], self.seen[target], self.after[base], self.after[target]
        differing = {key for key in one & two if before[key].payload != after[key].payload}
        deleted = {key for key in differing if self.now[key].is_buried and self.now[key] == after[key]}
        gone_before = {key for key in one if before[key].deleted_in is not None and self.now[key] == before[key]}
        return {
            "new": two - one, "changed": differing - deleted, "deleted": deleted, "gone": one - two - gone_before,
            "remapped": set(), "unchanged": (one & two) - differing,
        }  # fmt: skip


class World:
    """A source that changes at random; `deletes` is how it tells of deletes."""

    def __init__(self, seed: int, deletes: Deletes | None, options: ConnectionOptions) -> None:
        self.chance = random.Random(seed)
        self.deletes = deletes
        self.options = options
        self.model = Model(has_snapshots=deletes is not None and deletes.snapshot)
        self.titles = dict.fromkeys(KEYS, "a")

    def records(self) -> list[dict[str, Any]]:
        """A few edits on what there was; a key may come twice, be missing, rejected, filtered or deleted."""
        chance = self.chance
        for key in chance.sample(KEYS, 3):
            self.titles[key] = chance.choice("abc")
        named = chance.sample(KEYS, chance.randint(8, 12))
        named += chance.sample(named, chance.randint(0, 2))
        return [row(key, self.titles[key], **self._flag()) for key in named]

    def _flag(self) -> dict[str, bool]:
        drawn = self.chance.random()
        if self.deletes is not None and self.deletes.tombstone and drawn < 0.15:
            return {"deleted": True}
        return {"bad": True} if drawn > 0.92 else {"skip": True} if drawn > 0.86 else {}

    async def read(self) -> None:
        """In one run, or in several that resume one another."""
        records, lanes = self.records(), self.chance.choice([1, 3])
        for stop_at in sorted(self.chance.sample(range(1, len(records)), self.chance.choice([0, 0, 1, 2]))):
            await self._run(records, lanes, stop_at)
        self.model.read(records, await self._run(records, lanes, None))

    async def _run(self, records: list[dict[str, Any]], lanes: int, stop_at: int | None) -> int:
        def before(_partition: str, position: int) -> None:
            if stop_at is not None and position >= stop_at:
                raise SourceError("the source went away")

        job = job_of(ScriptedSource({"p": records}, batch_size=2, before=before), deletes=self.deletes)
        outcome = await run_source(job, Request(lanes=lanes), Conditions(self.options))
        assert outcome.row is not None
        assert (outcome.error is None) == (stop_at is None), outcome.error
        return outcome.row["id"]


@pytest.mark.parametrize("told", ["not at all", "by tombstones", "by snapshots"])
async def test_every_pair_of_readings_is_told_as_it_was(
    database: ConnectionOptions, connection: Connection, told: str
) -> None:
    """tests/long has more than this one source of each kind."""
    await compare_every_pair(database, connection, told, 0)


async def compare_every_pair(database: ConnectionOptions, connection: Connection, told: str, seed: int) -> None:
    """Of readings of a source that tells so of deletes, if it does."""
    snapshot, tombstones = Deletes(snapshot=True, max_share=1.0), Deletes(tombstone="deleted")
    deletes = {"by tombstones": tombstones, "by snapshots": snapshot}.get(told)
    world = World(seed, deletes, database)
    for _ in range(READINGS):
        await world.read()
    for target in range(READINGS):
        for base in range(target):
            runs = (world.model.runs[base], world.model.runs[target])
            found = await compare(connection, *runs, Listing(KINDS, limit=1000))
            items = found.comparison.records.items
            shown = {kind: {item.key for item in items if item.kind == kind} for kind in KINDS}
            assert shown == world.model.compared(base, target), f"runs {runs}"
            assert found.total == len(items)
