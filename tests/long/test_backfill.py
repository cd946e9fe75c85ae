"""A backfill that is killed at every point of every chunk ends as one that nobody disturbs."""

from pathlib import Path

import pytest

from kasparro.core.database import Connection, ConnectionOptions
from tests.acceptance.kasparro_process import Ended, environment, kasparro
from tests.archives import Archive, item
from tests.http_server import running
from tests.recovery.facts import url_of

KILLED = -9
POINTS = ("fetch", "transform", "load", "checkpoint", "commit", "committed")
FACTS = """
select (select digest::text from sources where name = $1) as digest,
       (select count(*) from unified_data u join sources s on s.id = u.source_id where s.name = $1) as records,
       (select count(*) from raw_api_data r join sources s on s.id = r.source_id where s.name = $1) as payloads,
       (select array_agg(b.state order by b.id) from backfills b join sources s on s.id = b.source_id
        where s.name = $1) as states,
       (select array[sum(inserted), sum(updated), sum(rejected)] from etl_runs r
        join sources s on s.id = r.source_id where s.name = $1 and r.operation = 'backfill') as counted,
       (select count(*) from etl_checkpoints where scope <> '') as left_over
"""


class Place:
    """The same archive twice, under two names."""

    def __init__(self, archive: Archive, folder: Path, options: ConnectionOptions) -> None:
        self.folder = folder
        self.env = environment(
            DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"), KASPARRO_BATCH_RECORDS="2"
        )
        for name in ("clean", "killed"):
            (folder / f"{name}.yaml").write_text(archive.yaml(name=name), encoding="utf-8")

    async def backfill(self, name: str, *arguments: str) -> Ended:
        command = ("backfill", name, "--from", "2026-01-01", "--to", "2026-01-04", "--config", f"{name}.yaml")
        return await kasparro(*command, *arguments, env=self.env, cwd=self.folder)

    async def run(self, name: str) -> Ended:
        return await kasparro("run", name, "--config", f"{name}.yaml", env=self.env, cwd=self.folder)


@pytest.mark.parametrize("lanes", ["1", "2"])
async def test_backfill_killed_everywhere_ends_as_an_undisturbed_one(
    tmp_path: Path, database: ConnectionOptions, connection: Connection, lanes: str
) -> None:
    async with running() as upstream:
        archive = Archive(upstream, [item(key, f"{20 + key}T00", "new") for key in range(1, 5)])
        place = Place(archive, tmp_path, database)
        for name in ("clean", "killed"):
            assert (await place.run(name)).exit_code == 0
        archive.items = [item(1 + n % 9, f"0{1 + n % 3}T{n:02}", f"t{n}") for n in range(18)]
        archive.items.append({"title": "no key", "updated": "2026-01-02T05:00:00Z"})
        assert (await place.backfill("clean", "--concurrency", lanes)).exit_code == 0

        kills = 0
        for number, point in enumerate(POINTS * 2):
            plan = f"{point}:kill:{1 + number % 2}"
            ended = await place.backfill("killed", "--concurrency", lanes, "--inject", plan)
            kills += ended.exit_code == KILLED
            assert ended.exit_code in {KILLED, 0}, ended.stderr
        assert (await place.backfill("killed", "--concurrency", lanes)).exit_code == 0
    assert kills >= 6
    expected, found = [dict(await connection.fetchrow(FACTS, name) or {}) for name in ("clean", "killed")]
    states = found.pop("states")
    assert (expected.pop("states"), set(states)) == (["done"], {"done"})
    assert (found["digest"], found["records"], found["payloads"]) == (
        expected["digest"], expected["records"], expected["payloads"],
    )  # fmt: skip
    assert found["left_over"] == 0
    assert found["counted"] == expected["counted"]
