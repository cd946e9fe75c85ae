"""Tuning cases: much that is usual, and nothing to be found."""

from decimal import Decimal
from typing import Any

from tests.unit.drift.case import Case
from tests.unit.drift.generators import (
    Fields,
    Make,
    as_text,
    case,
    mixed,
    moment,
    numbered,
    one_of,
    payloads,
    price,
    seconds,
    sentence,
    several,
    sometimes,
    whole,
)
from tests.unit.drift.rows import ROW, TEXT

REPEATED = payloads("repeated", ROW, 300)


def usual(
    name: str, changes: dict[str, Make | None] | None = None, fields: Fields | None = None, **options: Any
) -> Case:
    """Nothing that is to be found."""
    return case(name, fields or ROW, changes or {}, **options)


CASES: list[Case] = [
    usual("the next records"),
    usual("the next rows of text", fields=TEXT),
    usual("a hundred records against many", sizes=(2_000, 100)),
    usual("many records against a hundred", sizes=(100, 2_000)),
    usual("the same records twice", sizes=(1, 1)),
    Case("the very same records", REPEATED, REPEATED, frozenset(["value"]), frozenset()),
    usual("few records, everything gone", {"value": None, "city": None}, sizes=(600, 99)),
    usual("few records before", {"value": None, "level": as_text(whole(0, 100))}, sizes=(80, 600)),
    usual(
        "a sparse field that happens not to come",
        {"rare": None},
        {**ROW, "rare": sometimes(0.01, whole(1, 9))},
        sizes=(400, 200),
    ),
    usual("whole numbers that get fractions", {"level": lambda random, _: Decimal(f"{random.uniform(0, 100):.1f}")}),
    usual("fractions in rows of text", {"count": lambda random, _: f"{random.uniform(0, 400):.1f}"}, TEXT),
    usual("prices grow by a third", {"value": price(3.29)}),
    usual("two outliers", {"value": mixed(0.004, price(12.0), price(3.0))}),
    usual("a single bad cell", {"count": mixed(0.003, lambda *_: "n.a. (see note)", as_text(whole(0, 400)))}, TEXT),
    usual("running numbers go on", {"id": numbered(40_000)}),
    usual("times go on", {"at": moment(days=300)}),
    usual("seconds since 1970 go on", {"ts": seconds()}, {"id": numbered(), "ts": seconds()}),
    usual("a tenth fewer notes", {"note": sometimes(0.7, sentence(), None)}),
    usual(
        "a rare kind appears once in a while",
        {"kind": one_of("a", "b", "c", "d", weights=(50, 45, 4, 0.3))},
        {"id": numbered(), "kind": one_of("a", "b", "c", weights=(50, 45, 4))},
    ),
    usual("numbered batches", {"batch": lambda *_: "run-18"}, {"id": numbered(), "batch": lambda *_: "run-17"}),
    usual("the next month", {"month": lambda *_: 4}, {"id": numbered(), "month": lambda *_: 3, "day": whole(1, 28)}),
    usual("long tails", {"size": price(6.0, 2.5)}, {"id": numbered(), "size": price(6.0, 2.5)}, sizes=(200, 200)),
    usual(
        "mostly zeros",
        {"sales": mixed(0.85, lambda *_: 0, whole(1, 30))},
        {"id": numbered(), "sales": mixed(0.88, lambda *_: 0, whole(1, 30))},
    ),
    usual(
        "days beyond the twelfth",
        {"day": moment("%d/%m/%Y", 14)},
        {"id": numbered(), "day": moment("%d/%m/%Y")},
        sizes=(300, 300),
    ),
    usual("fractions of seconds", {"at": moment("%Y-%m-%dT%H:%M:%S.125Z")}),
    usual("longer texts", {"note": sometimes(0.8, sentence(20, 40), None)}),
    usual(
        "objects by id",
        {"prices": lambda random, n: {str(10_000 + n): float(random.randint(1, 9))}},
        {"id": numbered(), "prices": lambda random, n: {str(n): float(random.randint(1, 9))}},
    ),
    usual(
        "lists of other lengths",
        {"tags": several(one_of("x", "y", "z"), 6)},
        {"id": numbered(), "tags": several(one_of("x", "y", "z"), 2)},
    ),
]
