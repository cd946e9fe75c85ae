"""Tuning cases: fields that come, go or change their type."""

from tests.unit.drift.case import Case
from tests.unit.drift.generators import (
    ABSENT,
    Fields,
    Make,
    as_text,
    case,
    city,
    code,
    from_record,
    inside,
    numbered,
    one_of,
    person,
    price,
    seconds,
    several,
    sometimes,
    whole,
)
from tests.unit.drift.rows import ROW, TEXT


def change(name: str, field: str, make: Make, fields: Fields | None = None) -> Case:
    """A mapped field changes its type."""
    fields = fields or (ROW if field in ROW else TEXT)
    return case(name, fields, {field: make}, [("type_changed", field)], mapped=[field])


CASES: list[Case] = [
    case("a new field", ROW, {"source": city()}, [("field_added", "source")]),
    case(
        "a new sparse field",
        ROW,
        {"extra": sometimes(0.05, whole(1, 9))},
        [("field_added", "extra")],
        sizes=(1_000, 1_000),
    ),
    case(
        "a new object",
        ROW,
        {"owner": inside(name=person(), id=numbered())},
        [("field_added", "owner")],
        allowed=[("field_added", "owner.name"), ("field_added", "owner.id")],
    ),
    case("a mapped field goes", ROW, {"value": None}, [("field_missing", "value")], mapped=["value"]),
    case("an unmapped field goes", ROW, {"note": None}, [("field_missing", "note")]),
    case(
        "a field goes in the midst of a run",
        ROW,
        {"value": from_record(420, price(3.0), lambda *_: ABSENT)},
        [("field_missing", "value")],
        mapped=["value"],
        allowed=[("value_shift", "value")],
    ),
    case(
        "a nested field goes",
        {"id": numbered(), "p": inside(a=price(), b=city())},
        {"p": inside(b=city())},
        [("field_missing", "p.a")],
        mapped=["p.a"],
    ),
    case("a column goes", TEXT, {"price": None}, [("field_missing", "price")], mapped=["price"]),
    case("two fields go", ROW, {"value": None, "city": None}, [("field_missing", "value"), ("field_missing", "city")]),
    change("numbers become words", "level", one_of("low", "middle", "high")),
    change("numbers become text", "value", as_text(price(3.0))),
    change("a text becomes an object", "city", inside(name=city(), zip=code("z"))),
    change("a text becomes a list", "city", several(city())),
    change("cells of numbers become words", "count", one_of("few", "some", "many")),
    change("prices get a currency", "price", lambda random, _: f"EUR {random.uniform(2, 90):.2f}"),
    change("times become numbers", "at", seconds()),
    change("a flag becomes a number", "ok", one_of(0, 1), {"id": numbered(), "ok": one_of(True, False)}),
    case(
        "elements of a list become numbers",
        {"id": numbered(), "tags": several(city())},
        {"tags": several(whole(1, 99))},
        [("type_changed", "tags[]")],
    ),
]
