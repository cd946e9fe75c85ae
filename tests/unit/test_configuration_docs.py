"""The reference page and the JSON Schema are what the models say."""

from pathlib import Path
from typing import Any

from kasparro.schemas.configuration import load_configuration
from kasparro.schemas.configuration.export import json_schema, json_schema_text, reference_text

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_fresh() -> None:
    hint = "stale: run `make docs`"
    assert (ROOT / "docs/configuration.schema.json").read_text(encoding="utf-8") == json_schema_text(), hint
    assert (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8") == reference_text(), hint


def test_every_setting_is_described() -> None:
    definitions: dict[str, Any] = {"": json_schema(), **json_schema()["$defs"]}
    undescribed = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, schema in definition["properties"].items()
        if not schema.get("description")
    ]
    assert undescribed == []


def test_the_schema_allows_what_is_documented() -> None:
    source = json_schema()["$defs"]["CsvSourceConfig"]
    assert source["additionalProperties"] is False
    assert sorted(source["required"]) == ["map", "name", "path", "type"]
    assert {"type": "string"} in source["properties"]["key"]["anyOf"]


def test_the_shipped_configuration_is_valid() -> None:
    configuration = load_configuration(ROOT / "kasparro.yaml", {"API_KEY": "dummy-key"})
    assert [source.type for source in configuration.sources] == ["api", "rss", "csv"]
