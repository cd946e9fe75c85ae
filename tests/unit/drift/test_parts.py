"""The parts of comparing: names, readings, assignment, and how a finding is told."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.ingestion.drift.assignment import assign
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.findings import example_text
from kasparro.ingestion.drift.names import name_similarity
from kasparro.ingestion.drift.readings import read_text
from kasparro.ingestion.drift.shape import Shape
from tests.unit.drift.generators import moment, normal, numbered, payloads
from tests.unit.drift.running import profile_of


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("mag", "magnitude", 0.9),
        ("qty", "quantity", 0.89),
        ("userName", "user_name", 1.0),
        ("HTTPStatus", "http-status", 1.0),
        ("created", "created_at", 0.8),
        ("tag", "tags", 0.95),
        ("geo.lat", "geo_lat", 1.0),
        ("dob", "date_of_birth", 0.9),
        ("a.kind", "b.kind", 0.9),
        ("adress", "address", 0.8),
        ("ts", "timestamp", 0.9),
    ],
)
def test_names_that_mean_the_same(one: str, other: str, least: float) -> None:
    assert name_similarity(one, other) == name_similarity(other, one)
    assert name_similarity(one, other) >= least


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("start_date", "end_date"),
        ("weight", "height"),
        ("lat", "lon"),
        ("min", "max"),
        ("code", "note"),
        ("id", "idle"),
    ],
)
def test_names_that_mean_something_else(one: str, other: str) -> None:
    assert name_similarity(one, other) <= 0.5


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("12", "text integer"),
        ("-1.5e3", "text decimal"),
        ("1,234.5", "text thousands"),
        ("1,5", "text decimal comma"),
        ("TRUE", "text boolean"),
        ("2026-01-02", "time Y-M-D"),
        ("2026-01-02 03:04", "time Y-M-D clock"),
        ("2026-01-02T03:04:05.5Z", "time Y-M-D clock zone"),
        ("2026-01-02T03:04:05+02:00", "time Y-M-D clock zone"),
        ("31/12/2026", "time D/M/Y"),
        ("12/31/2026", "time M/D/Y"),
        ("01/02/2026", "time ?/?/Y"),
        ("2.1.2026", "time D.M.Y"),
        ("Fri, 02 Jan 2026 03:04:05 GMT", "time month's name"),
        ("https://example.org/a", "text url"),
        ("a@example.org", "text email"),
        ("Anna", "text"),
        ("", "text"),
        ("9" * 400, "text"),
    ],
)
def test_what_a_text_reads_as(text: str, reading: str) -> None:
    assert read_text(text) == reading


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_assignment_is_the_best_of_all(rows: int, columns: int, data: st.DataObject) -> None:
    scores = [[data.draw(st.integers(0, 9)) / 9 for _ in range(columns)] for _ in range(rows)]
    chosen = assign(scores)
    size = max(rows, columns)
    padded = [[*row, *[0.0] * (size - columns)] for row in scores] + [[0.0] * size] * (size - rows)
    best = max(sum(padded[i][j] for i, j in enumerate(order)) for order in permutations(range(size)))
    assert sum(scores[i][j] for i, j in chosen) == pytest.approx(best)
    assert len({i for i, _ in chosen}) == len({j for _, j in chosen}) == len(chosen)


def test_a_rename_tells_what_its_confidence_is_made_of() -> None:
    fields = {"id": numbered(), "mag": normal(2, 1, 2), "at": moment()}
    renamed = {"id": numbered(), "magnitude": normal(2, 1, 2), "at": moment()}
    shape = Shape.of(profile_of(payloads("before", fields, 300)))
    (finding,) = compare(shape, profile_of(payloads("after", renamed, 300, 300)), {"mag"})
    assert (finding.kind, finding.field, finding.mapped) == ("field_renamed", "mag -> magnitude", True)
    assert finding.confidence > 0.9
    assert set(finding.parts) == {"name", "type", "values", "timing"}
    assert finding.expected == {"present": 1.0, "types": {"number": 1.0}}
    assert finding.share == 1.0
    assert finding.first is not None
    assert finding.first.ordinal == 0
    assert finding.last is not None
    assert finding.last.ordinal == 299
    assert str(example_text(finding.first)).startswith("case:1: ")


def test_what_is_left_of_rejected_renames_is_not_proposed_crosswise() -> None:
    fields = {"id": numbered(), "bid": normal(100, 9, 2), "ask": normal(101, 9, 2)}
    now = {"id": numbered(), "b": normal(100, 9, 2), "a": normal(101, 9, 2)}
    shape = Shape.of(profile_of(payloads("before", fields, 300)))
    rejected = {"bid -> b", "ask -> a"}
    found = compare(shape, profile_of(payloads("after", now, 300, 300)), {"bid", "ask"}, rejected)
    assert {finding.kind for finding in found} == {"field_missing", "field_added"}
    third = {"id": numbered(), "bids": normal(100, 9, 2), "a": normal(101, 9, 2)}
    found = compare(shape, profile_of(payloads("after", third, 300, 300)), {"bid", "ask"}, rejected)
    assert [finding.field for finding in found if finding.kind == "field_renamed"] == ["bid -> bids"]


def test_a_shift_shows_an_example_of_what_is_odd() -> None:
    before = [{"state": ("open", "closed")[n % 2]} for n in range(200)]
    after = [{"state": "lost" if n % 20 == 3 else "open"} for n in range(200)]
    (finding,) = compare(Shape.of(profile_of(before)), profile_of(after), set())
    assert (finding.kind, finding.field, finding.mapped) == ("value_shift", "state", False)
    assert finding.expected == {"new values": ["closed", "open"]}
    assert finding.seen == {"new values": ["lost"]}
    assert finding.share == 0.05
    assert finding.first == (3, "case:4", "lost")
    assert finding.last == (183, "case:184", "lost")
