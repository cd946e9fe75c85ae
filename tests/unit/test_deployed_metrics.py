"""The rules of deploy/prometheus and the dashboard of deploy/grafana speak of metrics and labels that exist."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kasparro.api.metric_families import COUNTED, TIMED
from kasparro.api.metrics import RequestMetrics, metrics_text
from kasparro.services.metrics import Counter, RunFacts, SourceFacts

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
CASES = ROOT / "deploy/prometheus/alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/kasparro.json"
SCRAPED = {"up": {"job", "instance"}}
"""What Prometheus itself says of a target."""
TARGET = {"job", "instance"}
FUNCTIONS = {
    "abs",
    "count",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "rate",
    "sum",
    "time",
    "topk",
    "vector",
}
WORDS = {"and", "by", "offset", "on", "or", "unless"}
TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")|(?P<variable>\$\w+)|(?P<range>\[[^\]]*\])|(?P<duration>\b\d+[smhdw]\b)|(?P<number>\b\d+(\.\d+)?\b)
    |(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/(){},]|=~|!~|!=|==|>=|<=|=|>|<)|(?P<space>\s+)""",
    re.VERBOSE,
)


@pytest.fixture(scope="module")
def page() -> Mapping[str, set[str]]:
    """Each sample's name on the page that the code writes, with its labels."""
    names = [*COUNTED, *(f"{name}_{part}" for name in TIMED for part in ("bucket", "sum"))]
    source = SourceFacts("s", datetime(2026, 3, 1, tzinfo=UTC), "open", 1.0, 900.0)
    requests = RequestMetrics()
    requests.observe("GET", "/data", 200, 0.1)
    counters = {name: [Counter("s", name, "1", 1.0)] for name in names}
    text = metrics_text(requests, RunFacts(counters, (source,), 1))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name: labels | TARGET for name, labels in found.items()} | SCRAPED


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def dashboard_expressions() -> Iterator[str]:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in document["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def tokens(expression: str) -> list[tuple[str, str]]:
    """(kind, text) of each. Fails at what is no PromQL."""
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(expression):
        match = TOKEN.match(expression, place)
        assert match is not None, f"what is this: {expression[place:]!r}"
        if match.lastgroup != "space":
            kind = next(name for name, text in match.groupdict().items() if text is not None)
            found.append((kind, match[0]))
        place = match.end()
    return found


def metrics_of(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression, each with the labels in its braces; `""`: those it is grouped or matched by."""
    used: dict[str, set[str]] = {"": set()}
    metric, inside = "", ""
    listed = tokens(expression)
    for place, (kind, text) in enumerate(listed):
        following = listed[place + 1][1] if place + 1 < len(listed) else ""
        if text == "{":
            inside = "braces"
        elif text == "(" and place and listed[place - 1][1] in ("by", "on"):
            inside = "group"
        elif text in ("}", ")"):
            inside = ""
        elif kind != "name":
            continue
        elif inside == "braces":
            if following in ("=", "=~", "!=", "!~"):
                used[metric].add(text)
        elif inside == "group":
            used[""].add(text)
        elif text in FUNCTIONS:
            assert following in ("(", "by"), text
        elif text not in WORDS and not ("label_values" in expression and following == ")"):
            metric = text
            used.setdefault(metric, set())
    return used


def test_parser_finds_metrics_and_labels() -> None:
    assert metrics_of('sum by (a) (rate(x_total{b="c", d!~"e"}[5m])) / on (f) y offset 1h > 0.5') == {
        "": {"a", "f"},
        "x_total": {"b", "d"},
        "y": set(),
    }


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in rules()), *dashboard_expressions()])
def test_metrics_and_labels_of_an_expression_exist(expression: str, page: Mapping[str, set[str]]) -> None:
    used = metrics_of(expression)
    grouped = used.pop("")
    assert used or expression.startswith("vector"), "an expression names a metric"
    for metric, labels in used.items():
        assert metric in page, metric
        assert labels <= page[metric], metric
    assert grouped <= set().union(*(page[metric] for metric in used)), "grouped by what its metrics have"


def test_every_metric_of_the_page_but_the_parts_of_histograms_is_on_the_dashboard(page: Mapping[str, set[str]]) -> None:
    shown = {metric for expression in dashboard_expressions() for metric in metrics_of(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in page}
    assert families - {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in shown} == set()


def test_every_rule_has_its_cases_severity_and_runbook() -> None:
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    told = [(case["alertname"], bool(case["exp_alerts"])) for test in cases for case in test["alert_rule_test"]]
    for rule in rules():
        name = rule["alert"]
        assert {(name, True), (name, False)} <= set(told), "one case in which it fires, one in which it does not"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
        assert rule["annotations"]["summary"]


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
