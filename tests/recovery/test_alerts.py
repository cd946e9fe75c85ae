"""A process that is killed after a hook has its message and before that is written down."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.ingestion.http.posting import Poster
from kasparro.workers.alerting import LEASE_SECONDS, Alerting
from kasparro.workers.hooks import hook_of
from tests.acceptance.kasparro_process import start
from tests.fix_http import authorities
from tests.http_server import Hang, Reply, Request, Upstream, answer, raw
from tests.recovery.alert_child import webhook
from tests.recovery.facts import url_of


async def test_killed_between_send_and_note_the_message_is_sent_again_under_the_same_id(
    database: ConnectionOptions, connection: Connection, upstream: Upstream
) -> None:
    await connection.execute("insert into alerts (kind, state, summary) values ('failing', 'firing', 'down')")
    await connection.execute(
        "insert into alert_deliveries (alert_id, hook, transition) select id, 'pager', 'firing' from alerts"
    )
    arrived = asyncio.Event()

    def hold(_request: Request) -> Reply:
        arrived.set()
        return raw(Hang())

    url = upstream.on("/hook", hold, answer(200))
    child = await start("-m", "tests.recovery.alert_child", url_of(database), url)
    async with asyncio.timeout(60):
        await arrived.wait()
        child.kill()
        await child.communicate()
    assert child.returncode == -signal.SIGKILL

    async with Poster(user_agent="kasparro/test", tls=authorities()) as poster:
        hook = hook_of(webhook(url), poster)
        later = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
        alerting = Alerting(database, [], [hook], now=lambda: later)
        assert await alerting.deliver(hook)
        assert not await alerting.deliver(hook), "once it is noted, never again"
        alerting.close()
    first, second = upstream.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    row = await connection.fetchrow("select attempts, delivered_at = $1 as noted from alert_deliveries", later)
    assert row is not None
    assert tuple(row) == (2, True)
