"""The sources that docs/demo.md proposes, against what the demo serves."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kasparro.demo.app import KEY_HEADER, QUERY_PATH
from kasparro.demo.atom import FEED_PATH, MEDIA_TYPE, build_feed
from kasparro.demo.query import feature_collection, parse_query
from kasparro.demo.week import load_week
from kasparro.ingestion.mapping import compile_mapping
from kasparro.ingestion.sources.rss.document import Request, parse_document
from kasparro.schemas.configuration import parse_configuration
from kasparro.schemas.configuration.expressions import compile_expression, evaluate

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("path", ["kasparro.yaml", "docs/demo.md", "examples/usgs.yaml"])
def test_the_feeds_categories_are_its_terms_and_not_its_labels(path: str) -> None:
    """The agency's labels say what a category is of ("Magnitude"), its terms what it says ("Magnitude 6")."""
    text = (ROOT / path).read_text(encoding="utf-8")
    [written] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if path.endswith(".md") else [text]
    configuration = parse_configuration(written, {"API_KEY": "of-this-test"})
    source = next(source for source in configuration.sources if source.type == "rss")
    event = next(event for event in WEEK.events if event.id == "us1000chhc")
    url = "http://127.0.0.1:8010/all_week.atom"
    feed = build_feed([event], event.updated, url)
    [entry] = parse_document(feed.body, Request(url, MEDIA_TYPE, "auto")).entries
    payload = {**entry, "_key": "us1000chhc", "feed": {"url": url, "title": None}}
    assert [(each["label"], each["term"]) for each in entry["categories"]] == [
        ("Age", "Past Day"),
        ("Magnitude", "Magnitude 6"),
        ("Contributor", "us"),
        ("Author", "us"),
    ]
    record = compile_mapping(source)(payload)
    assert (record["category"], record["tags"]) == ("Magnitude 6", ["us"])
