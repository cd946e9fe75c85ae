"""A CSV source whose mapping changes: loaded, planned, replayed; and what stands in the database afterwards."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.operations.replay import Chosen, Replay, plan, replay_job
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import parse_configuration
from kasparro.services import digest, replay_plans, sources
from kasparro.services.replay_plans import ReplayPlan

BEFORE = "map: {title: name, value: price, category: kind}"
WHERE = """where: "kind == 'x'", """
MIXED = WHERE + BEFORE.replace("value: price", "value: stock")
"""Changes ten of the twenty items, filters seven and rejects three."""
ROWS = [f"i{n},item {n},{n}.50,{'x' if n % 3 else 'y'},{n if n % 4 else 'none'}" for n in range(20)]
"""Twenty items; every third is of kind y, every fourth has a stock that is no number."""


@dataclass
class Items:
    """The source `items` under a mapping that a test changes; `limits` are those of runs."""

    folder: Path
    options: ConnectionOptions
    connection: Connection
    settings: str = BEFORE
    name: str = "items"
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(records=5))

    def write(self, rows: list[str]) -> None:
        (self.folder / "items.csv").write_text("\n".join(["id,name,price,kind,stock", *rows, ""]), encoding="utf-8")

    def job(self, name: str | None = None) -> SourceJob:
        lenient = "reject_limit: {share: 1.0, min_records: 1000}"
        always = f"name: {name or self.name}, type: csv, path: items.csv, key: id, {lenient}"
        text = f"sources:\n  - {{{always}, {self.settings}}}\n"
        return build_job(parse_configuration(text, {}).sources[0], self.folder)

    async def load(self, name: str | None = None) -> RunOutcome:
        outcome = await run_source(self.job(name), Request(), Conditions(self.options, limits=self.limits))
        assert outcome.error is None, outcome.error
        return outcome

    async def plan(self, **chosen: Any) -> ReplayPlan:
        return await plan(self.connection, self.job(), Chosen(**chosen))

    async def apply(self, planned: ReplayPlan, lanes: int = 1, faults: Faults | None = None) -> RunOutcome:
        job, current = self.job(), await replay_plans.find(self.connection, planned.id)
        request = Request(lanes=lanes, operation=Replay(current, job.config_hash))
        conditions = Conditions(self.options, limits=self.limits, faults=faults or Faults())
        return await run_source(replay_job(job, self.options, current), request, conditions)

    async def records(self) -> dict[str, dict[str, Any]]:
        """Each record by its key; of those that are deleted only why."""
        rows = await self.connection.fetch(
            "select u.record_key, title, value::text, category, attributes::text, deletion, u.record_hash, "
            "u.last_changed_at, u.mapping_version, u.raw_id, u.content_hash "
            "from unified_data u join sources s on s.id = u.source_id where s.name = $1",
            self.name,
        )
        return {row["record_key"]: dict(row) for row in rows}

    async def digest(self, name: str | None = None) -> str:
        """The digest that is kept, which is that of the records themselves."""
        source = await sources.get(self.connection, name or self.name)
        async with self.connection.transaction():
            recomputed = await digest.recompute(self.connection, source.id)
        assert await digest.now(self.connection, source.id) == recomputed
        return digest.as_text(recomputed)

    async def clean_digest(self) -> str:
        """What loading the file anew under the mapping of now comes to."""
        await self.load("clean")
        return await self.digest("clean")


def counts(planned: ReplayPlan) -> dict[str, int]:
    """What the plan says of records, but for what it says of none."""
    return {name: number for name, number in planned.findings["counts"].items() if number}
