"""From drift to mapping: a week of real seismic events, whose upstream renames `mag` to `magnitude` in the midst."""

import json
import subprocess
from pathlib import Path
from typing import Any

from kasparro.core.database import Connection, ConnectionOptions
from kasparro.demo.query import Query, feature_collection, parse_query, select
from kasparro.demo.week import Event, Week, load_week
from kasparro.schemas.configuration import load_configuration
from kasparro.services import digest, drift
from kasparro.services.migrations import upgrade
from tests.acceptance.kasparro_process import ROOT, Ended, environment, kasparro
from tests.http_server import Reply, Request, Upstream, json_answer
from tests.recovery.facts import url_of

PATH = "/fdsnws/event/1/query"
LATER = 200
"""So many events come later: those that were changed last."""
SMALL = 700
"""So many events are enough to see all of it; tests/long has the week."""
RENAMED = "properties.mag -> properties.magnitude"


class Agency:
    """The upstream: what it shows, and by what name it calls a magnitude."""

    def __init__(self, upstream: Upstream, week: Week, size: int) -> None:
        self.week = week
        self.all = sorted(week.events, key=lambda event: (event.updated, event.id))[-size:]
        self.events: list[Event] = self.all[:-LATER]
        self.name = "mag"
        self.url = upstream.on(PATH, self.answer)

    def answer(self, request: Request) -> Reply:
        query: Query = parse_query(request.query)
        about = {"generated": self.week.ends, "url": self.url, "api": self.week.api}
        document = feature_collection(select(self.events, query), query, about)
        for feature in document["features"]:
            feature["properties"] = {self._named(name): value for name, value in feature["properties"].items()}
        return json_answer(json.loads(json.dumps(document)))

    def rename(self) -> None:
        """From now on all events are there, and every answer says `magnitude`."""
        self.events, self.name = self.all, "magnitude"

    def _named(self, name: str) -> str:
        return self.name if name == "mag" else name


class Site:
    """A folder with the default configuration, and a database."""

    def __init__(self, folder: Path, options: ConnectionOptions, agency: Agency) -> None:
        self.folder = folder
        self.configuration = folder / "kasparro.yaml"
        host, _, port = agency.url.removeprefix("http://").partition("/")[0].partition(":")
        variables = {"KASPARRO_DEMO_HOST": host, "KASPARRO_DEMO_PORT": port, "API_KEY": "k"}
        self.env = environment(DATABASE_URL=url_of(options), KASPARRO_HOME=str(folder / "home"), **variables)

    async def __call__(self, *arguments: str, expected: int = 0) -> Ended:
        ended = await kasparro(*arguments, env=self.env, cwd=self.folder)
        assert ended.exit_code == expected, ended.stdout + ended.stderr
        return ended


def site_of(folder: Path, options: ConnectionOptions, agency: Agency) -> Site:
    folder.mkdir(exist_ok=True)
    site = Site(folder, options, agency)
    site.configuration.write_text((ROOT / "kasparro.yaml").read_text())
    return site


async def test_a_renamed_field_is_held_back_mended_and_lands_as_in_a_clean_load(
    tmp_path: Path,
    database: ConnectionOptions,
    connection: Connection,
    empty_database: ConnectionOptions,
    upstream: Upstream,
) -> None:
    agency = Agency(upstream, load_week(), SMALL)
    await rename_and_mend(tmp_path, (database, empty_database), connection, agency)


async def rename_and_mend(
    tmp_path: Path, databases: tuple[ConnectionOptions, ConnectionOptions], connection: Connection, agency: Agency
) -> Site:
    """The whole way, from the first load to the digest of a clean one, in a second database; returns the site."""
    database, empty_database = databases
    first = len(agency.events)
    site = site_of(tmp_path / "site", database, agency)
    await site("run", "earthquakes_api")
    values = await _values(connection)
    assert len(values) == first

    agency.rename()
    run = (await site("run", "earthquakes_api", "--json")).document["data"][0]
    held_back = run["records"]["rejected"]
    assert (run["state"], run["records"]["updated"], run["records"]["inserted"]) == ("partial", 0, 0)
    assert held_back >= LATER
    assert await _values(connection) == values

    [finding] = await drift.open_findings(connection, None)
    assert (finding.kind, finding.field, finding.policy) == ("field_renamed", RENAMED, "quarantine")
    assert finding.confidence > 0.9
    assert finding.mapped

    before = site.configuration.read_text()
    shown = await site("drift", "propose", "earthquakes_api")
    assert site.configuration.read_text() == before
    assert f"drift {finding.id}: {RENAMED}, confidence 0.9" in shown.stdout
    assert f"{held_back:,} of {held_back:,} records held back would pass" in shown.stderr
    assert f"{first:,} unchanged" in shown.stderr
    subprocess.run(["patch", "-p0"], cwd=site.folder, input=shown.stdout.encode(), check=True, capture_output=True)
    after = site.configuration.read_text()
    assert _changed_lines(before, after) == [
        ("      value: properties.mag", "      value: not_null(properties.magnitude, properties.mag)")
    ]
    load_configuration(site.configuration, site.env)

    plan = (await site("replay", "plan", "earthquakes_api", "--json")).document
    assert (plan["counts"]["unchanged"], plan["counts"]["changed"], plan["differs"]) == (first, 0, False)
    await site("replay", "apply", str(plan["plan"]))
    assert await _values(connection) == values
    await site("drift", "accept", str(finding.id), "--reason", "as announced")
    requeued = await site("rejects", "requeue", "--source", "earthquakes_api", "--code", "drift", "--json")
    [counted] = requeued.document["data"]
    assert (counted["payloads"], counted["still_rejected"]) == (held_back, 0)
    assert len(await _values(connection)) == len(agency.all)

    await upgrade(empty_database)
    clean = site_of(tmp_path / "clean", empty_database, agency)
    clean.configuration.write_text(after)
    [loaded] = (await clean("run", "earthquakes_api", "--json")).document["data"]
    assert (loaded["state"], loaded["records"]["inserted"]) == ("succeeded", len(agency.all))
    async with connection.transaction():
        assert digest.as_text(await digest.recompute(connection, finding.source_id)) == loaded["digest"]
    return site


def _changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


async def _values(connection: Connection) -> dict[str, Any]:
    """The magnitude of every record."""
    rows = await connection.fetch("select record_key, value from unified_data where deleted_at is null")
    found = {row["record_key"]: row["value"] for row in rows}
    assert None not in found.values()
    return found
