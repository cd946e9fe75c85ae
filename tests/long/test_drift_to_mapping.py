"""The whole week of the demo, renamed in the midst and mended; and what the runs after that say."""

from pathlib import Path

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.demo.week import load_week
from tests.acceptance.kasparro_process import ROOT
from tests.acceptance.test_drift_to_mapping import Agency, rename_and_mend
from tests.http_server import Upstream


async def test_the_week_is_mended_and_nothing_is_found_any_more(
    tmp_path: Path,
    database: ConnectionOptions,
    connection: Connection,
    empty_database: ConnectionOptions,
    upstream: Upstream,
) -> None:
    week = load_week()
    site = await rename_and_mend(
        tmp_path, (database, empty_database), connection, Agency(upstream, week, len(week.events))
    )
    await site("check")
    mended = site.configuration.read_text()
    site.configuration.write_text((ROOT / "kasparro.yaml").read_text())
    await connection.execute("update schema_drift_events set state = 'open'")
    assert (await site("drift", "propose", "--apply", "--json")).document["applied"]
    assert site.configuration.read_text() == mended  # as `patch` has made it
    await connection.execute("update schema_drift_events set state = 'accepted'")
    [run] = (await site("run", "earthquakes_api", "--json")).document["data"]
    [again] = (await site("run", "earthquakes_api", "--json", "--full-refresh")).document["data"]
    assert [(each["state"], each["records"]["rejected"]) for each in (run, again)] == [("succeeded", 0)] * 2
    assert again["digest"] == run["digest"]  # payloads have changed, and records have not
    assert (await site("drift", "list", "--json")).document["data"] == []
    assert "nothing to change" in (await site("drift", "propose")).stderr
