"""What differs between two payloads, place by place."""

from decimal import Decimal

from kasparro.core.differences import Difference, differences


def test_nested_places_are_named_by_pointers() -> None:
    before = {"a": {"b": [1, {"c": "x"}], "gone": None}, "same": [1, 2], "s/l~sh": 1}
    after = {"a": {"b": [1, {"c": "y"}, 3], "new": {"d": 1}}, "same": [1, 2], "s/l~sh": 2}
    assert differences(before, after, most=10) == (
        [
            Difference("/a/b/1/c", "changed", "x", "y"),
            Difference("/a/b/2", "added", None, 3),
            Difference("/a/gone", "removed", None, None),
            Difference("/a/new", "added", None, {"d": 1}),
            Difference("/s~1l~0sh", "changed", 1, 2),
        ],
        False,
    )


def test_values_of_other_types_and_scales_differ() -> None:
    before = {"a": 1, "b": Decimal("1.50"), "c": "1", "d": None, "e": [], "f": Decimal("2.5")}
    after = {"a": True, "b": Decimal("1.5"), "c": 1, "d": "None", "e": {}, "f": Decimal("2.5")}
    assert [item.pointer for item in differences(before, after, most=10)[0]] == ["/a", "/b", "/c", "/d", "/e"]


def test_no_more_are_told_than_asked_for() -> None:
    found, more = differences({}, {str(n): n for n in range(5)}, most=3)
    assert ([item.pointer for item in found], more) == (["/0", "/1", "/2"], True)
    assert differences({}, {"a": 1}, most=1)[1] is False


def test_values_that_are_no_objects_are_compared_as_they_are() -> None:
    assert differences([1], "x", most=5)[0] == [Difference("", "changed", [1], "x")]
    assert differences("x", "x", most=5) == ([], False)
