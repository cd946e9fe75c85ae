"""Tuning cases: values that shift."""

from decimal import Decimal
from typing import Any

from tests.unit.drift.case import Case
from tests.unit.drift.generators import (
    CITIES,
    Fields,
    Make,
    as_text,
    case,
    city,
    code,
    inside,
    link,
    mixed,
    moment,
    normal,
    numbered,
    one_of,
    price,
    seconds,
    sometimes,
    whole,
)
from tests.unit.drift.rows import ROW, TEXT


def shift(name: str, field: str, make: Make, fields: Fields | None = None, **options: Any) -> Case:
    """The values of one field shift."""
    fields = fields or (ROW if field in ROW else TEXT)
    return case(name, fields, {field: make}, [("value_shift", field)], **options)


CASES: list[Case] = [
    shift("a third of the values is null", "value", sometimes(0.67, price(3.0), None), mapped=["value"]),
    shift("half of the cells are empty", "price", sometimes(0.5, as_text(price(3.0)), "")),
    shift("a field stands in half of the records", "city", sometimes(0.5, city())),
    shift("all null", "value", lambda *_: None),
    shift("a fifth of the numbers is text", "value", mixed(0.2, one_of("n.a.", "unknown value"), price(3.0))),
    shift("a fifth of the cells is words", "count", mixed(0.2, one_of("ask", "sold out"), as_text(whole(0, 400)))),
    shift("a new state", "state", one_of("open", "closed", "held", "archived", weights=(30, 30, 30, 6))),
    shift("states in capitals", "state", one_of("OPEN", "CLOSED", "HELD")),
    shift("a new city", "city", one_of(*CITIES, "Atlantis")),
    shift("a thousand times as much", "value", price(3.0, 0.8, 1_000), mapped=["value"]),
    shift("cents", "price", as_text(lambda random, _: int(random.lognormvariate(3.0, 0.8) * 100)), mapped=["price"]),
    shift("parts of one", "level", lambda random, _: Decimal(f"{random.random():.3f}")),
    shift("Fahrenheit", "t", normal(64, 9), {"id": numbered(), "t": normal(18, 5)}),
    shift("milliseconds", "ts", seconds(1_000), {"id": numbered(), "ts": seconds()}),
    shift("a mark for unknown numbers", "level", mixed(0.1, lambda *_: -9_999, whole(0, 100))),
    shift("every tenth in another unit", "value", mixed(0.1, price(3.0, 0.5, 1_000), price(3.0, 0.5))),
    shift("dates of another country", "day", moment("%d/%m/%Y", 14)),
    shift(
        "days and months change places",
        "day",
        moment("%d/%m/%Y", 14),
        {"id": numbered(), "day": moment("%m/%d/%Y", 14)},
    ),
    shift("dates without dashes", "day", moment("%Y%m%d")),
    shift("some keys that repeat, where hardly any did", "key", mixed(0.5, lambda *_: "k7000000", code("k"))),
    shift("a quarter beyond the range", "level", mixed(0.25, whole(230, 300), whole(0, 100))),
    shift("times without a zone", "at", moment("%Y-%m-%d %H:%M:%S")),
    shift("keys that repeat", "key", lambda random, _: f"k{random.randrange(120)}"),
    case(
        "a nested field becomes null",
        {"id": numbered(), "p": inside(a=price(), b=city())},
        {"p": inside(a=sometimes(0.4, price(), None), b=city())},
        [("value_shift", "p.a")],
    ),
    shift("a new code", "code", one_of(1, 2, 3, 7), {"id": numbered(), "code": one_of(1, 2, 3)}),
    shift("zeros where there were none", "value", mixed(0.4, lambda *_: 0, price(3.0))),
    shift("another host and no more ids", "url", lambda *_: "https://example.org/", {"id": numbered(), "url": link()}),
]
