"""A small source whose rejects are requeued under a mended mapping, here or by a process that a fault kills."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import structlog

from kasparro.core.database import ConnectionOptions, parse_url
from kasparro.ingestion.coordinator import Request
from kasparro.ingestion.faults import Faults, parse_plans
from kasparro.ingestion.job import SourceJob, build_job
from kasparro.ingestion.operations.requeue import requeue_job, requeue_request
from kasparro.ingestion.run import Conditions, RunOutcome, run_source
from kasparro.ingestion.source import BatchLimits
from kasparro.schemas.configuration import load_configuration
from kasparro.services.reject_lists import RejectFilter

SMALL = BatchLimits(records=3)
EVERYTHING = RejectFilter()
CONFIGURATION = """
sources:
  - {name: bad, type: csv, path: items.csv, key: id, reject_limit: {share: 1}, map: {title: name, value: price}}
  - {name: mended, type: csv, path: items.csv, key: id,
     map: {title: name, value: {expr: "decimal(replace(price, 'EUR ', ''))"}}}
"""


@dataclass(frozen=True)
class Items:
    """20 rows, of which 11 are rejected at first, one of them under a key that comes twice."""

    folder: Path
    options: ConnectionOptions

    def write(self) -> None:
        rows = [f"i{n},item {n},{'EUR ' * (n % 2)}{n}.50" for n in range(19)]
        rows.append("i3,item 3 again,EUR 3.75")
        rows.append("i19,item 19,EUR 19.50")
        (self.folder / "items.csv").write_text("id,name,price\n" + "\n".join(rows) + "\n", encoding="utf-8")
        (self.folder / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")

    def job(self, mapping: str, name: str) -> SourceJob:
        configured = {each.name: each for each in load_configuration(self.folder / "kasparro.yaml", {}).sources}
        return build_job(configured[mapping].model_copy(update={"name": name}), self.folder)

    async def load(self, mapping: str, name: str) -> RunOutcome:
        return await run_source(self.job(mapping, name), Request(), Conditions(self.options, limits=SMALL))

    async def requeue(self, name: str, faults: Faults) -> RunOutcome:
        job = requeue_job(self.job("mended", name), EVERYTHING, self.options)
        conditions = Conditions(self.options, limits=SMALL, faults=faults)
        return await run_source(job, requeue_request(EVERYTHING, Request()), conditions)


def requeue(url: str, folder: str, name: str, inject: str) -> None:
    """What the child does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    items = Items(Path(folder), parse_url(url, {}))
    asyncio.run(items.requeue(name, Faults(parse_plans(inject, environment="test"))))
