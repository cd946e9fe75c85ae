"""`kasparro alerts`, and a failure of a one-shot run that the next scheduler tells of."""

import asyncio
import json
import signal
from pathlib import Path

from kasparro.core.database import ConnectionOptions
from tests.acceptance.kasparro_process import Ended, environment, finish, kasparro, start
from tests.http_server import Reply, Request, Upstream, answer
from tests.recovery.facts import url_of

CONFIGURATION = """
sources:
  - {name: trades, type: csv, path: trades.csv, key: id, map: {title: id, value: price}}
"""
HOOKS = """
alerts:
  hooks:
    - {name: pager, type: webhook, url: "${HOOK}/pager", secret: "${HOOK_SECRET}", allow_private: true}
    - {name: team, type: slack, url: "${HOOK}/team", allow_private: true}
"""


class Place:
    """A folder with a source whose file is missing."""

    def __init__(self, folder: Path, database: ConnectionOptions, hook: str, *, hooks: str = HOOKS) -> None:
        self.folder = folder
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        self.env = environment(
            DATABASE_URL=url_of(database), KASPARRO_HOME=str(folder / "home"), HOOK=hook, HOOK_SECRET=secret,
        )  # fmt: skip
        (folder / "kasparro.yaml").write_text(CONFIGURATION + hooks, encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)


async def test_failure_of_a_one_shot_run_is_listed_and_told_by_the_next_scheduler(
    tmp_path: Path, database: ConnectionOptions, upstream: Upstream
) -> None:
    place = Place(tmp_path, database, upstream.url)
    assert (await place.kasparro("run")).exit_code == 4
    (alert,) = (await place.kasparro("alerts", "list", "--json")).document["data"]
    assert (alert["source"], alert["kind"], alert["waiting"], alert["told"]) == ("trades", "failing", 2, 0)
    assert upstream.requests == []

    told = asyncio.Event()

    def take(request: Request) -> Reply:
        assert json.loads(request.body)
        if len(upstream.requests) == 2:
            told.set()
        return answer(200)

    upstream.on("/pager", take)
    upstream.on("/team", take)
    scheduler = await start("-m", "kasparro", "scheduler", env=place.env, cwd=tmp_path)
    async with asyncio.timeout(60):
        await told.wait()
    scheduler.send_signal(signal.SIGTERM)
    ended = await finish(scheduler)
    assert ended.exit_code == 143
    assert sorted(request.path for request in upstream.requests) == ["/pager", "/team"]
    assert not any(text in ended.stdout + ended.stderr for text in (f"{upstream.url}/team", "MfKQ9r8GKYqrTwjUPD8I"))


async def test_hooks_are_tried(tmp_path: Path, database: ConnectionOptions, upstream: Upstream) -> None:
    upstream.on("/pager", answer(204))
    upstream.on("/team", answer(403, "invalid_token"))
    place = Place(tmp_path, database, upstream.url)
    ended = await place.kasparro("alerts", "test", "--json")
    assert ended.exit_code == 4
    assert ended.document == {
        "data": [
            {"hook": "pager", "delivered": True, "error": None},
            {"hook": "team", "delivered": False, "error": "answered 403 Forbidden: invalid_token"},
        ]
    }
    alone = await place.kasparro("alerts", "test", "pager")
    assert (alone.exit_code, alone.stdout) == (0, "pager: delivered\n")
    unknown = await place.kasparro("alerts", "test", "pagr")
    assert (unknown.exit_code, 'there is no hook "pagr"; did you mean "pager"?' in unknown.stderr) == (2, True)


async def test_without_hooks_there_is_nobody_to_try(tmp_path: Path, database: ConnectionOptions) -> None:
    place = Place(tmp_path, database, "", hooks="")
    ended = await place.kasparro("alerts", "test")
    assert (ended.exit_code, "kasparro.yaml has no hooks to send to" in ended.stderr) == (2, True)
    assert (await place.kasparro("alerts", "list")).stdout == "nothing is wrong\n"
