"""What is held back of a batch: by what nearly all accepted records had, and by what stands already."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from kasparro.core.errors import DriftError
from kasparro.ingestion.columns.text import RecordParts, TextColumns
from kasparro.ingestion.drift.chance import at_least
from kasparro.ingestion.drift.expected import expected_of, family_of
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.parts import parts_looked_at
from kasparro.ingestion.drift.shape import Shape
from kasparro.ingestion.drift.verdict import conclude
from kasparro.ingestion.drift.watch import Watch, Watched, WatchedTransformer
from kasparro.ingestion.source import Defect, RecordRejected, SourceRecord
from kasparro.ingestion.sources.api.documents import RepeatedNames
from kasparro.ingestion.transform import TransformedBatch, Transformer
from kasparro.schemas.batches import STAGE_SCHEMA
from kasparro.schemas.configuration.drift import DriftPolicies
from kasparro.services.drift import Standing, StandingEvent

Payload = dict[str, Any]
MAPPED = frozenset(("id", "place.name", "mag", "tags[].label", "a.b"))


def good(number: int) -> Payload:
    label = {"label": f"t{number % 5}"}
    place = {"name": f"at {number}", "km": number % 9}
    return {"id": str(number), "place": place, "mag": number / 10, "tags": [label], "a.b": "x", "other": 1}


def shape_of(payloads: Sequence[Payload]) -> dict[str, Any]:
    return Shape.of(profile_payloads(payloads, ["p"] * len(payloads), 0)).to_json()


SHAPE = shape_of([good(number) for number in range(2_000)])


def watch_of(*events: StandingEvent, shape: Any = SHAPE, **policies: Any) -> Watch:
    watched = Watched(DriftPolicies(**policies), MAPPED, MAPPED)
    return Watch("quakes", watched, Standing(shape, events))


def normalize(payload: Payload) -> dict[str, object]:
    if payload.get("bad"):
        raise RecordRejected(Defect("bad", "says so itself", "bad"))
    return {"record_key": str(payload.get("id")), "title": "t"}


def transformer(watch: Watch) -> WatchedTransformer:
    inner = Transformer(
        normalize, lambda payload: str(payload["id"]), lambda payload: not payload.get("skip"),
        is_tombstone=lambda payload: bool(payload.get("deleted")),
    )  # fmt: skip
    return WatchedTransformer(inner, watch)


def transformed(watch: Watch, payloads: Sequence[Payload], *, first: int = 1) -> TransformedBatch:
    records = [SourceRecord(payload, f"p:{number}") for number, payload in enumerate(payloads, first)]
    return transformer(watch).transform(records, first)


def held(batch: TransformedBatch) -> dict[int, str]:
    """By ordinal, the field that a record is held back for."""
    return {
        record.ordinal: record.defects[0].field or "" for record in batch.rejected if record.defects[0].code == "drift"
    }


def without(name: str, number: int) -> Payload:
    return {key: value for key, value in good(number).items() if key != name}


def test_what_nearly_all_had_is_expected_and_nothing_else() -> None:
    payloads = [good(number) | ({} if number % 50 else {"rare": 1}) for number in range(400)]
    shape = Shape.read(shape_of(payloads))
    expected = expected_of(shape, MAPPED | {"rare", "unknown"})
    assert set(expected.needed) == {"id", "place", "place.name", "mag", "tags", "tags[].label", "a.b"}
    assert expected.needed["place.name"].parent == ("place",)
    assert expected.needed["tags[].label"].parent == ("tags", None)
    assert (expected.needed["a.b"].parent, expected.needed["a.b"].name) == ((), "a.b")
    assert expected.typed["mag"].known == {"number"}
    assert expected.typed["place"].known == {"object"}
    assert expected_of(Shape.read(shape_of(payloads[:99])), MAPPED).needed == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda payload: payload.pop("mag"), "mag"),
        (lambda payload: payload.pop("place"), "place"),
        (lambda payload: payload["place"].pop("name"), "place.name"),
        (lambda payload: payload.pop("a.b"), "a.b"),
        (lambda payload: payload["tags"][0].pop("label"), "tags[].label"),
    ],
)
def test_three_records_that_lack_a_mapped_field_are_held_back(change: Any, field: str) -> None:
    payloads = [good(number) for number in range(3)]
    for payload in payloads:
        change(payload)
    batch = transformed(watch_of(), payloads)
    assert held(batch) == dict.fromkeys((1, 2, 3), field)
    assert batch.fetched == 3
    assert sum(rows.num_rows for rows in batch.columns) == 0


def test_a_null_is_a_value_and_an_unmapped_field_may_go() -> None:
    payloads = [{**without("other", number), "mag": None} for number in range(3)]
    assert held(transformed(watch_of(), payloads)) == {}


def test_one_odd_record_is_no_drift_and_many_are_one_by_one() -> None:
    payloads = [good(number) for number in range(200)]
    del payloads[7]["mag"]
    assert held(transformed(watch_of(), payloads)) == {}
    for number in range(190, 200):
        del payloads[number]["mag"]
    batch = transformed(watch_of(), payloads)
    assert sorted(held(batch)) == [8, *range(191, 201)]
    assert sum(rows.num_rows for rows in batch.columns) == 189


def test_the_only_record_of_a_run_is_held_back_where_each_accepted_one_had_the_field() -> None:
    shape = shape_of([good(number) for number in range(500)])
    watch = watch_of(shape=shape)
    assert held(transformed(watch, [without("mag", 1)])) == {1: "mag"}
    (found,) = conclude(watch, well=True).found
    assert (found.kind, found.field, found.policy) == ("field_missing", "mag", "quarantine")
    assert held(transformed(watch_of(shape=shape), [without("mag", 1), *map(good, range(5))])) == {}
    sometimes = shape_of([good(number) if number else without("mag", 0) for number in range(500)])
    assert held(transformed(watch_of(shape=sometimes), [without("mag", 1)])) == {}


def test_small_batches_add_up_to_evidence_and_what_was_held_back_once_stays_so() -> None:
    watch = watch_of()
    few = transformed(watch, [good(0), good(1), without("mag", 2)])
    more = transformed(watch, [without("mag", 3), good(4), good(5)], first=4)
    last = transformed(watch, [good(number) for number in range(100)] + [without("mag", 6)], first=7)
    assert (held(few), held(more), held(last)) == ({}, {4: "mag"}, {107: "mag"})


def test_what_stands_open_holds_back_a_single_record() -> None:
    event = StandingEvent(1, "field_renamed", "place -> location", 1.0, True, "quarantine", "open")
    payloads = [good(number) for number in range(500)]
    del payloads[3]["place"]
    del payloads[5]["place"]["name"]
    assert held(transformed(watch_of(event), payloads)) == {4: "place", 6: "place.name"}
    assert held(transformed(watch_of(event, field_renamed="warn"), payloads[:5])) == {}
    changed = StandingEvent(2, "type_changed", "mag", 1.0, True, "quarantine", "open")
    assert held(transformed(watch_of(changed), [good(1) | {"mag": "high"}, good(2)])) == {1: "mag"}


def test_filtered_deleting_and_defective_records_are_not_looked_at() -> None:
    payloads = [{"id": str(number)} for number in range(3)]
    marks: list[Payload] = [{"skip": True}, {"deleted": True}, {}]
    records = [SourceRecord({**payload, **mark}, "p:1") for payload, mark in zip(payloads, marks, strict=True)]
    records[2] = SourceRecord(RepeatedNames([("id", 2), ("id", 3)]), "p:3", (Defect("duplicate_keys", "twice"),))
    watch = watch_of()
    batch = transformer(watch).transform(records, 1)
    assert held(batch) == {}
    assert (len(batch.filtered), len(batch.tombstones), len(batch.rejected)) == (1, 1, 1)
    assert watch.profile.records == 0
    assert conclude(watch, well=True).shape is None


def test_a_rejected_record_is_held_back_for_drift_instead() -> None:
    batch = transformed(watch_of(), [without("mag", number) | {"bad": number == 1} for number in range(3)])
    assert [record.defects for record in batch.rejected][1][0].code == "drift"
    assert [record.ordinal for record in batch.rejected] == [1, 2, 3]


def test_a_change_of_types_is_held_back_value_by_value() -> None:
    payloads = [good(number) | {"mag": f"M {number}"} for number in range(150)]
    payloads[9]["mag"] = 4.2
    payloads[10]["mag"] = None
    watch = watch_of()
    batch = transformed(watch, payloads)
    assert set(held(batch)) == set(range(1, 151)) - {10, 11}
    (found,) = conclude(watch, well=True).found
    assert (found.kind, found.field, found.policy) == ("type_changed", "mag", "quarantine")
    assert found.first_example == "p:1: M 0"


def test_rows_of_columns_are_held_back_like_payloads() -> None:
    rows = [{"id": str(number), "mag": str(number), "note": "n"} for number in range(300)]
    watched = Watched(DriftPolicies(), frozenset(("id", "mag")), frozenset(("id", "mag")))
    for columns in (True, False):
        watch = Watch("csv", watched, Standing(shape_of(rows), ()))
        lacking = [{"id": str(number), "note": "n"} for number in range(5)]
        some = TextColumns(pa.RecordBatch.from_pylist(lacking), "f.csv", 2)
        records: Any = RecordParts()
        records.extend(some if columns else list(some))
        records.extend([SourceRecord({"id": "9", "mag": "1", "note": ""}, "f.csv:7")])
        batch = transformer(watch).transform(records, 1)
        assert held(batch) == dict.fromkeys(range(1, 6), "mag")
        assert [record.locator for record in batch.rejected] == [f"f.csv:{line}" for line in range(2, 7)]


def test_filtered_rows_of_columns_leave_the_others_with_their_places() -> None:
    cells = pa.RecordBatch.from_pylist([{"id": str(number)} for number in range(4)])
    batch = transformer(watch_of()).transform([SourceRecord({"id": "1", "skip": True}, "p:1")], 2)
    (part,) = parts_looked_at(TextColumns(cells, "f.csv", 10), 1, batch)
    assert [(part.ordinal(at), part.locator(at)) for at in range(3)] == [
        (1, "f.csv:10"), (3, "f.csv:12"), (4, "f.csv:13"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["field_missing", "field_renamed"])
def test_fail_tells_what_has_gone_from_what_has_another_name(kind: str) -> None:
    watch = watch_of(**{kind: "fail"})
    payloads = [without("mag", number) for number in range(150)]
    if kind == "field_renamed":
        payloads = [{**payload, "magnitude": good(number)["mag"]} for number, payload in enumerate(payloads)]
    with pytest.raises(DriftError, match=r"source quakes: .*mag") as error:
        transformed(watch, payloads)
    assert (error.value.code, error.value.exit_code) == ("drift", 7)
    (found,) = conclude(watch, well=False).found
    assert (found.kind, found.policy) == (kind, "fail")


def test_a_shift_of_values_can_fail_a_run() -> None:
    with pytest.raises(DriftError, match="value_shift: fail"):
        transformed(watch_of(value_shift="fail"), [good(number) | {"mag": number * 1000.0} for number in range(300)])


def test_a_run_is_numbered_from_its_own_beginning() -> None:
    watch = watch_of(shape=None)
    transformed(watch, [good(number) for number in range(600)], first=900_001)
    assert (watch.profile.first, watch.profile.looked) == (0, 600)


def test_no_finding_and_no_evidence_leave_the_shape() -> None:
    watch = watch_of()
    transformed(watch, [good(number) for number in range(50)])
    assert conclude(watch, well=True).shape is None
    learned = watch_of()
    transformed(learned, [good(number) for number in range(200)])
    shape = conclude(learned, well=True).shape
    assert shape is not None
    assert shape["records"] == 2_200
    assert conclude(learned, well=False).shape is None


def test_the_chance_of_so_many_odd_records() -> None:
    assert at_least(0, 10, 0, 100) == 1.0
    assert at_least(1, 1, 0, 998) == pytest.approx(0.001, rel=0.01)
    assert at_least(3, 3, 0, 998) == pytest.approx(1e-9, rel=0.02)
    # 12 odd of 2,000 before: twenty of 2,000 now are chance, a hundred are not
    assert at_least(20, 2_000, 12, 2_000) > 0.05
    assert at_least(100, 2_000, 12, 2_000) < 1e-9
    assert at_least(20_000, 20_000, 0, 100) == pytest.approx(0, abs=1e-30)


@pytest.mark.parametrize(
    ("value", "family"),
    [
        (None, None), ("", None), ("NA", None), (True, "boolean"), (1, "number"), (1.5, "number"), ({}, "object"),
        ([], "array"), ("x", "text"), ("1.5", "text number"), ("2026-11-22", "time"),
    ],
)  # fmt: skip
def test_families_of_values(value: Any, family: str | None) -> None:
    assert family_of(value) == family


def test_the_stage_keeps_its_schema_without_the_rows_held_back() -> None:
    batch = transformed(watch_of(), [good(0), good(1), *[without("mag", number) for number in range(2, 9)]])
    assert [rows.schema for rows in batch.columns] == [STAGE_SCHEMA]
    assert [rows.column("ordinal").to_pylist() for rows in batch.columns] == [[1, 2]]


def test_a_record_that_lacks_one_of_many_fields_is_found_among_records_without_the_object() -> None:
    payloads = [good(number) for number in range(40)]
    for number in range(20):
        payloads[number]["place"] = None
        del payloads[20 + number]["place"]["name"]
    assert sorted(held(transformed(watch_of(), payloads))) == list(range(21, 41))


def test_a_mapping_that_reads_one_of_two_names_needs_either() -> None:
    watched = Watched(DriftPolicies(), frozenset(("id",)), MAPPED, (frozenset(("mag", "magnitude")),))
    renamed = [{**without("mag", number), "magnitude": 1.5} for number in range(3)]
    assert held(transformed(Watch("quakes", watched, Standing(SHAPE, ())), renamed)) == {}
    neither = [without("mag", number) for number in range(3)]
    batch = transformed(Watch("quakes", watched, Standing(SHAPE, ())), neither)
    assert held(batch) == dict.fromkeys((1, 2, 3), "mag")


def sometimes(number: int, share: float, name: str = "link") -> Payload:
    return good(number) | ({name: f"http://a/{number}"} if number % 100 < share * 100 else {})


def watch_of_links(share: float, *events: StandingEvent, alternatives: Any = (), **policies: Any) -> Watch:
    shape = shape_of([sometimes(number, share) for number in range(500)])
    mapped = MAPPED if alternatives else MAPPED | {"link"}
    return Watch("quakes", Watched(DriftPolicies(**policies), mapped, mapped, alternatives), Standing(shape, events))


@pytest.mark.parametrize("share", [0.6, 0.98])
def test_a_rename_of_a_field_that_only_some_had_is_held_back(share: float) -> None:
    watch = watch_of_links(share)
    few = transformed(watch, [sometimes(number, share) for number in range(500, 600)])
    batch = transformed(watch, [sometimes(number, share, "href") for number in range(300)], first=101)
    moved = {101 + number: "link" for number in range(300) if number % 100 < share * 100}
    assert (held(few), held(batch)) == ({}, moved)
    (found,) = conclude(watch, well=True).found
    assert (found.kind, found.field, found.policy) == ("field_renamed", "link -> href", "quarantine")
    assert held(transformed(watch, [sometimes(0, share, "href")], first=401)) == {401: "link"}
    warned = transformed(
        watch_of_links(share, field_renamed="warn"), [sometimes(number, share, "href") for number in range(200)]
    )
    assert held(warned) == {}


def test_a_standing_rename_of_a_field_that_only_some_had_holds_back_a_single_record() -> None:
    event = StandingEvent(7, "field_renamed", "link -> href", 1.0, True, "quarantine", "open")
    three = [sometimes(0, 0.6, "href"), sometimes(0, 0.6), sometimes(99, 0.6)]
    watch = watch_of_links(0.6, event)
    assert held(transformed(watch, three)) == {1: "link"}
    assert conclude(watch, well=True).renewed == [7]
    mended = watch_of_links(0.6, event, alternatives=(frozenset(("link", "href")),))
    assert held(transformed(mended, three)) == {}


def test_policy_fail_of_a_rename_of_a_field_that_only_some_had() -> None:
    watch = watch_of_links(0.6, field_renamed="fail")
    with pytest.raises(DriftError, match="another name"):
        transformed(watch, [sometimes(number, 0.6, "href") for number in range(200)])


@pytest.mark.parametrize("other", [[], "x", 7, [{"name": "x"}]])
def test_an_object_that_is_something_else_lacks_its_fields(other: Any) -> None:
    payloads = [good(number) | ({} if number % 3 else {"place": other}) for number in range(300)]
    payloads[1]["place"] = None
    watch = watch_of()
    assert held(transformed(watch, payloads)) == dict.fromkeys(range(1, 301, 3), "place.name")
    found = {(each.kind, each.field): each.policy for each in conclude(watch, well=True).found}
    assert found["field_missing", "place.name"] == "quarantine"
    accepted = watch_of(shape=shape_of(payloads))
    assert held(transformed(accepted, payloads)) == {}


def test_an_object_that_is_something_else_in_most_records_has_changed_its_type() -> None:
    watch = watch_of()
    assert held(transformed(watch, [good(0) | {"place": "x"}])) == {1: "place.name"}
    payloads = [good(number) | {"place": "x"} for number in range(300)]
    assert held(transformed(watch, payloads, first=2)) == dict.fromkeys(range(2, 302), "place")
    assert [(each.kind, each.field) for each in conclude(watch, well=True).found] == [("type_changed", "place")]


@pytest.mark.parametrize("other", ["x", ["x"], {"label": "x"}])
def test_a_list_that_is_something_else_lacks_what_its_elements_have(other: Any) -> None:
    payloads = [good(number) | ({} if number % 3 else {"tags": other}) for number in range(300)]
    payloads[1]["tags"] = None
    payloads[2]["tags"] = ["x", {"label": "y"}]
    assert held(transformed(watch_of(), payloads)) == dict.fromkeys(range(1, 301, 3), "tags[].label")
    assert held(transformed(watch_of(shape=shape_of(payloads)), payloads)) == {}


def test_lists_that_are_empty_are_told_of_and_not_held_back() -> None:
    watch = watch_of()
    assert held(transformed(watch, [good(number) | {"tags": []} for number in range(300)])) == {}
    found = {(each.kind, each.field): each.policy for each in conclude(watch, well=True).found}
    assert found["field_missing", "tags[].label"] == "warn"


def test_a_change_below_names_that_are_data_is_told_of_as_a_warning() -> None:
    def payload(number: int, close: Any) -> Payload:
        return good(number) | {"prices": {f"2026-01-{1 + number % 28:02}": {"close": close}}}

    mapped = MAPPED | {"prices.*.close"}
    shape = shape_of([payload(number, number / 10) for number in range(500)])
    watch = Watch("quakes", Watched(DriftPolicies(), mapped, mapped), Standing(shape, ()))
    assert held(transformed(watch, [payload(number, f"about {number}") for number in range(300)])) == {}
    (found,) = conclude(watch, well=True).found
    assert (found.kind, found.field, found.policy) == ("type_changed", "prices.*.close", "warn")
