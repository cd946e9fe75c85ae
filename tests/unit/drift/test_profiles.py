"""Profiles: the same from columns as from payloads, in whatever batches; bounded; and kept as JSON."""

import json
from collections.abc import Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasparro.ingestion.columns.text import TextColumns
from kasparro.ingestion.drift import sampling
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.from_columns import profile_columns
from kasparro.ingestion.drift.from_payloads import DEEPEST, profile_payloads
from kasparro.ingestion.drift.profile import MOST_FIELDS, Profile, merged
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.values import KEPT_VALUES, Values

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.text(max_size=6),
    st.sampled_from(["", "NA", "12", "-3.5", "2026-01-02", "https://example.org/", "é" * 90]),
)
NAMES = st.sampled_from(["a", "b", "c.d", "2026", "ä"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
PAYLOADS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=12)
CELLS = st.sampled_from(["", "NA", "null", "1", "1.0", "-7", "abc", "N", "12/31/2026", "x" * 300, "-"])


def profile_of(payloads: Sequence[dict[str, Any]], first: int = 0) -> Profile:
    return profile_payloads(payloads, [f"p:{first + place}" for place in range(len(payloads))], first)


@settings(max_examples=40, deadline=None)
@given(PAYLOADS, PAYLOADS, PAYLOADS)
def test_adding_profiles_is_associative_and_commutative(ones: Any, others: Any, thirds: Any) -> None:
    a, b, c = profile_of(ones), profile_of(others, 100), profile_of(thirds, 505)
    kept = deepcopy((a, b, c))
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(c, merged(b, a))
    assert (a, b, c) == kept, "adding changes neither side"


@settings(max_examples=40, deadline=None)
@given(PAYLOADS, st.integers(0, 12))
def test_batches_may_end_anywhere(payloads: list[dict[str, Any]], border: int) -> None:
    parts = merged(profile_of(payloads[:border], 500), profile_of(payloads[border:], 500 + len(payloads[:border])))
    whole = profile_of(payloads, 500)
    assert parts == whole


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=30), st.integers(0, 9_000))
def test_columns_give_the_profile_of_their_payloads(rows: list[tuple[str, str]], first: int) -> None:
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
    part = TextColumns(pa.RecordBatch.from_arrays(columns, names=["name", "größe"]), "file.csv", first + 2)
    records = list(part)
    payloads, locators = [record.payload for record in records], [record.locator for record in records]
    assert profile_columns(part, first) == profile_payloads(payloads, locators, first)


def test_slices_of_columns_with_places_of_their_own_give_the_same() -> None:
    cells = pa.RecordBatch.from_arrays(
        [pa.array([f"v{n}" if n % 3 else "" for n in range(900)], pa.string())], names=["v"]
    )
    part = TextColumns(cells, places=pa.array([f"other:{n}" for n in range(900)], pa.string()))[100:800]
    records = list(part)
    expected = profile_payloads([record.payload for record in records], [record.locator for record in records], 100)
    assert profile_columns(part, 100) == expected


@settings(max_examples=20, deadline=None)
@given(PAYLOADS, PAYLOADS)
def test_any_payloads_can_be_compared_and_a_finding_is_json(ones: Any, others: Any) -> None:
    before, after = (
        [payload for payload in side for _ in range(40)] + [{"": [{"": "x"}]}] * 100 for side in (ones, others)
    )
    for finding in compare(Shape.of(profile_of(before)), profile_of(after), {"a", "b.a"}):
        json.dumps([finding.expected, finding.seen, finding.parts], allow_nan=False)
        assert 0 <= finding.confidence <= 1
        assert 0 <= finding.share <= 1
    assert compare(Shape.of(profile_of(before)), profile_of(before), set()) == []


@settings(max_examples=40, deadline=None)
@given(PAYLOADS)
def test_shapes_survive_json_and_say_all_but_examples(payloads: list[dict[str, Any]]) -> None:
    shape = Shape.of(profile_of(payloads))
    text = json.dumps(shape.to_json(), allow_nan=False)
    assert Shape.read(json.loads(text)) == shape
    assert "\\u0000" not in text


def test_shape_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Shape.read({"format": 99})


def test_further_runs_widen_a_shape() -> None:
    shape = Shape.of(profile_of([{"n": 1}] * 3)).and_also(profile_of([{"n": 900, "m": "x"}] * 2))
    assert shape.known.records == 5
    assert shape.known.fields["n"].types["number"].count == 5
    assert shape.known.fields["m"].present.count == 2
    high = shape.known.fields["n"].values.high
    assert high is not None
    assert high.number == 900.0


def test_counts_places_and_samples_of_a_field() -> None:
    found = profile_of([{"t": "2026-01-02"}, {"t": None}, {"u": 1}, {"t": "NA"}, {"t": "7"}, {"t": ""}]).fields["t"]
    assert found.present.count == 5
    assert {kind: tally.count for kind, tally in found.types.items()} == {"string": 3, "null": 2}
    assert {reading: tally.count for reading, tally in found.values.readings.items()} == {
        "time Y-M-D": 1,
        "text integer": 1,
    }
    assert found.values.nulls.first == (3, "p:3", "NA")
    assert found.types["null"].first == (1, "p:1", "null")
    assert found.types["null"].last == (5, "p:5", "")


def test_memory_is_bounded_whatever_comes() -> None:
    payloads = [
        {f"name {place} {n}": f"value {place} {n}" * 50 for n in range(40)}
        | {"same": place, "list": list(range(5_000))}
        for place in range(300)
    ]
    profile = profile_of(payloads)
    assert len(profile.fields) <= MOST_FIELDS
    assert profile.bound is not None
    assert all(len(found.values.kept) <= KEPT_VALUES for found in profile.fields.values())
    assert len(json.dumps(Shape(profile).to_json())) < 1_000_000


def test_deep_nesting_is_not_followed() -> None:
    payload: dict[str, Any] = {"end": 1}
    for _ in range(200):
        payload = {"in": payload}
    assert max(path.count(".") for path in profile_of([payload]).fields) == DEEPEST - 1


def test_names_that_are_data_share_a_path() -> None:
    assert set(profile_of([{"p": {"2026-01-01": 1, "17": 2, "b": 3}}]).fields) == {"p", "p.*", "p.b"}


def test_numbers_beyond_every_float_and_equal_numbers() -> None:
    values = Values()
    values.add([(Decimal("1e999"), 0, ""), (10**400, 1, ""), (4, 2, ""), (Decimal("4.0"), 3, ""), ("9" * 190, 4, "")])
    assert values.high is not None
    assert json.dumps(values.high.number, allow_nan=False) == "1.7976931348623157e+308"
    assert values.texts()["4"].count == 2


def test_distinct_values_are_estimated() -> None:
    values = Values()
    values.add((f"k{n}", n, "") for n in range(20_000))
    assert values.distinct == pytest.approx(20_000, rel=0.35)
    assert values.duplicate_share == 0
    values.add((f"k{n}", n, "") for n in range(20_000))
    assert values.duplicate_share == 0.5


def test_sampling_depends_on_ordinals_alone() -> None:
    for tiers, all_of, later in ((sampling.VALUES, 512, 240 + 81), (sampling.STRUCTURE, 1_024, 896 + 653)):
        whole = sampling.sampled_ordinals(tiers, 0, 50_000)
        parts = [sampling.sampled_ordinals(tiers, begin, min(777, 50_000 - begin)) for begin in range(0, 50_000, 777)]
        assert [ordinal for part in parts for ordinal in part] == whole
        assert whole[:all_of] == list(range(all_of))
        assert len(whole) == pytest.approx(all_of + later, abs=1)
