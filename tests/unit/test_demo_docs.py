"""The sources that docs/demo.md proposes, against what the demo serves."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kasparro.demo.app import KEY_HEADER, QUERY_PATH
from kasparro.demo.atom import FEED_PATH
from kasparro.demo.query import feature_collection, parse_query
from kasparro.demo.week import load_week
from kasparro.schemas.configuration import parse_configuration
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
PROPOSED = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
WEEK = load_week()


@pytest.fixture(scope="module")
def proposed() -> dict[str, dict[str, Any]]:
    return {source["name"]: source for source in yaml.safe_load(PROPOSED)["sources"]}


def test_the_proposed_sources_are_a_valid_configuration() -> None:
    configuration = parse_configuration(PROPOSED, {"API_KEY": "of-this-test"})
    assert [(source.name, source.type) for source in configuration.sources] == [
        ("earthquakes_api", "api"),
        ("earthquakes_feed", "rss"),
        ("earthquakes_csv", "csv"),
    ]


def test_the_proposed_addresses_key_and_parameters_are_the_demos(proposed: dict[str, dict[str, Any]]) -> None:
    api, feed = proposed["earthquakes_api"], proposed["earthquakes_feed"]
    assert (api["url"], feed["url"]) == (f"http://127.0.0.1:8010{QUERY_PATH}", f"http://127.0.0.1:8010{FEED_PATH}")
    assert api["auth"] == {"type": "api_key", "header": KEY_HEADER, "value": "${API_KEY}"}
    paging = api["pagination"]
    page = {paging["param"]: str(paging["start"]), paging["size_param"]: str(paging["size"])}
    assert (parse_query({**api["params"], **page}).limit, parse_query({**api["params"], **page}).offset) == (200, 1)


def test_every_proposed_path_finds_something_in_an_event(proposed: dict[str, dict[str, Any]]) -> None:
    event = next(event for event in WEEK.events if event.id == "us1000chhc")
    document = feature_collection([event], parse_query({"format": "geojson"}), {"generated": 0, "url": "", "api": ""})
    api = proposed["earthquakes_api"]
    [record] = evaluate(compile_expression(api["records"]), document)
    targets = {**api["map"], **api["map"]["attributes"], "key": api["key"]}
    del targets["attributes"], targets["tags"]
    found = {name: found_by(target, record) for name, target in targets.items()}
    assert found["key"] == found["entity_key"] == "us1000chhc"
    assert [name for name, value in found.items() if value is None] == []


def test_the_feeds_proposed_entity_is_the_events_id(proposed: dict[str, dict[str, Any]]) -> None:
    target = proposed["earthquakes_feed"]["map"]["entity_key"]
    assert found_by(target, {"guid": "urn:earthquake-usgs-gov:us:1000chhc"}) == "us1000chhc"


def found_by(target: Any, record: Any) -> Any:
    return evaluate(compile_expression(target["expr"] if isinstance(target, dict) else target), record)
