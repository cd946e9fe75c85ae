"""What accepting a finding makes of the accepted shape: the run that led to it says nothing any more."""

from typing import Any

import pytest

from kasparro.ingestion.drift.accepted import renamed, seen_fields, with_accepted
from kasparro.ingestion.drift.compare import compare
from kasparro.ingestion.drift.from_payloads import profile_payloads
from kasparro.ingestion.drift.profile import Profile
from kasparro.ingestion.drift.shape import Shape

BEFORE = [
    {"id": f"us{n * 7919}", "mag": n % 70 / 10, "kind": "x", "at": f"2026-01-{n % 28 + 1:02}", "depth": {"km": n % 50}}
    for n in range(400)
]
CASES: dict[str, dict[str, Any]] = {
    "field_renamed": {"mag": None, "magnitude": lambda n: n % 70 / 10},
    "field_missing": {"mag": None},
    "field_added": {"felt": lambda n: n % 7},
    "type_changed": {"mag": lambda n: {"of": n % 70 / 10}},
    "value_shift": {"mag": lambda n: n % 70 * 100.0},
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("records", [150, 400, 3_000])
def test_accepted_findings_are_not_found_again(kind: str, records: int) -> None:
    profile = _profile([_changed(n, CASES[kind]) for n in range(records)])
    shape = Shape.of(_profile(BEFORE)).to_json()
    findings = compare(Shape.read(shape), profile, ())
    assert [finding.kind for finding in findings] == [kind]
    seen = seen_fields(findings[0].kind, findings[0].field, profile)
    accepted = with_accepted(shape, findings[0].kind, findings[0].field, seen)
    assert compare(Shape.read(accepted), profile, ()) == []
    assert (accepted["records"], accepted["looked"]) == (400, 400)


def test_other_fields_stay_as_they_were() -> None:
    profile = _profile([_changed(n, CASES["field_renamed"]) for n in range(300)])
    shape = Shape.of(_profile(BEFORE)).to_json()
    seen = seen_fields("field_renamed", "mag -> magnitude", profile)
    assert list(seen["fields"]) == ["magnitude"]
    accepted = with_accepted(shape, "field_renamed", "mag -> magnitude", seen)
    assert "mag" not in accepted["fields"]
    assert accepted["fields"]["magnitude"]["present"] == 400
    others = ("id", "kind", "at", "depth", "depth.km")
    assert {name: accepted["fields"][name] for name in others} == {name: shape["fields"][name] for name in others}


def test_what_was_not_kept_cannot_be_accepted() -> None:
    shape = Shape.of(_profile(BEFORE)).to_json()
    with pytest.raises(ValueError, match="was not kept"):
        with_accepted(shape, "field_added", "felt", None)
    assert "mag" not in with_accepted(shape, "field_missing", "mag", None)["fields"]


def test_names_with_arrows_in_them_are_told_apart_by_what_was_known() -> None:
    assert renamed("mag -> magnitude", ()) == ("mag", "magnitude")
    assert renamed("a -> b -> c", ("a -> b",)) == ("a -> b", "c")
    assert renamed("a -> b -> c", ("a",)) == ("a", "b -> c")


def _changed(n: int, change: dict[str, Any]) -> dict[str, Any]:
    payload = BEFORE[n % 400] | {"id": f"us{n * 7919}"}
    for name, value in change.items():
        if value is None:
            del payload[name]
        else:
            payload[name] = value(n)
    return payload


def _profile(payloads: list[dict[str, Any]]) -> Profile:
    return profile_payloads(payloads, [f"page:{n}" for n in range(len(payloads))], 0)
