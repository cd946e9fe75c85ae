"""Tuning cases: fields under new names, and such that only look as if they were."""

from decimal import Decimal

from tests.unit.drift.case import Case
from tests.unit.drift.generators import (
    ABSENT,
    FIRST,
    LAST,
    Fields,
    Make,
    as_text,
    case,
    city,
    code,
    from_record,
    inside,
    link,
    moment,
    normal,
    numbered,
    one_of,
    payloads,
    person,
    price,
    seconds,
    sentence,
    several,
    sometimes,
    whole,
)

QUAKE: Fields = {
    "id": code(),
    "mag": normal(2.1, 0.9, 2),
    "place": sentence(),
    "time": moment(),
    "depth": price(2.0, 0.9),
    "status": one_of("automatic", "reviewed", "deleted", weights=(60, 35, 5)),
    "url": link(),
}
ORDER: Fields = {
    "order_id": numbered(),
    "customer": person(),
    "qty": whole(1, 12),
    "amount": price(3.5),
    "currency": one_of("EUR", "USD"),
    "created": moment(),
    "city": city(),
}


def renamed(name: str, old: str, new: str, fields: Fields | None = None) -> Case:
    """One field under another name."""
    fields = fields or (QUAKE if old in QUAKE else ORDER)
    return case(name, fields, {old: None, new: fields[old]}, [("field_renamed", f"{old} -> {new}")], mapped=[old])


def lost_and_born(name: str, old: str, new: str, make: Make, fields: Fields | None = None) -> Case:
    """One field goes and another one comes, by chance at the same time."""
    fields = fields or (QUAKE if old in QUAKE else ORDER)
    return case(name, fields, {old: None, new: make}, [("field_missing", old), ("field_added", new)], mapped=[old])


NESTED: Fields = {
    "id": numbered(),
    "properties": inside(mag=normal(3, 1, 2), place=sentence(), felt=sometimes(0.3, whole(0, 90))),
}
CAMEL: Fields = {"userName": person(), "createdAt": moment(), "totalAmount": price(), "itemCount": whole(1, 40)}
TWO_PRICES: Fields = {"id": numbered(), "price": price(4.0, 0.5), "weight": normal(300, 30)}
TEXTS: Fields = {field: as_text(make) for field, make in ORDER.items()}

CASES: list[Case] = [
    renamed("mag to magnitude", "mag", "magnitude"),
    renamed("an abbreviation without vowels", "qty", "quantity"),
    renamed("a suffix that says little", "created", "created_at"),
    renamed("one word more, with equal values", "amount", "total_amount"),
    renamed("a spelling mistake mended", "place", "pllace"),
    renamed("kebab case", "order_id", "order-id"),
    renamed("another word for the same enumeration", "status", "review_state"),
    renamed("another word for the same cities", "city", "town"),
    renamed("another word for the same magnitudes", "mag", "strength"),
    renamed("prefix of the object", "depth", "quake_depth"),
    renamed("a word in full", "amount", "amt"),
    renamed("case style of one field", "createdAt", "created_at", CAMEL),
    renamed("a CSV column", "customer", "customer_name", TEXTS),
    renamed("a CSV column with numbers", "amount", "amount_total", TEXTS),
    case(
        "case style of all fields",
        CAMEL,
        {
            "userName": None,
            "createdAt": None,
            "totalAmount": None,
            "itemCount": None,
            "user_name": person(),
            "created_at": moment(),
            "total_amount": price(),
            "item_count": whole(1, 40),
        },
        [
            ("field_renamed", "userName -> user_name"),
            ("field_renamed", "createdAt -> created_at"),
            ("field_renamed", "totalAmount -> total_amount"),
            ("field_renamed", "itemCount -> item_count"),
        ],
    ),
    case(
        "a nested field",
        NESTED,
        {"properties": inside(magnitude=normal(3, 1, 2), place=sentence(), felt=sometimes(0.3, whole(0, 90)))},
        [("field_renamed", "properties.mag -> properties.magnitude")],
        mapped=["properties.mag"],
    ),
    case(
        "an object with all that is in it",
        NESTED,
        {"properties": None, "props": NESTED["properties"]},
        [("field_renamed", "properties -> props")],
        mapped=["properties.mag"],
    ),
    case(
        "a flattened object",
        {"id": numbered(), "geo": inside(lat=normal(45, 5, 3), lon=normal(-20, 9, 3))},
        {"geo": None, "geo_lat": normal(45, 5, 3), "geo_lon": normal(-20, 9, 3)},
        [("field_renamed", "geo.lat -> geo_lat"), ("field_renamed", "geo.lon -> geo_lon")],
        mapped=["geo.lat", "geo.lon"],
    ),
    case(
        "a look-alike of another scale beside it",
        TWO_PRICES,
        {"price": None, "price_eur": price(4.0, 0.5), "price_sats": price(11.0, 0.5)},
        [("field_renamed", "price -> price_eur"), ("field_added", "price_sats")],
        mapped=["price"],
    ),
    case(
        "two fields that swap nothing but names",
        {"id": numbered(), "min_temp": normal(4, 2), "max_temp": normal(18, 3)},
        {"min_temp": None, "max_temp": None, "minimum_temperature": normal(4, 2), "maximum_temperature": normal(18, 3)},
        [("field_renamed", "min_temp -> minimum_temperature"), ("field_renamed", "max_temp -> maximum_temperature")],
    ),
    case(
        "a list under a new name",
        {"id": numbered(), "tag": several(one_of("red", "blue", "green"))},
        {"tag": None, "tags": several(one_of("red", "blue", "green"))},
        [("field_renamed", "tag -> tags")],
    ),
    case(
        "a new name in the midst of a run",
        QUAKE,
        {
            "mag": from_record(420, normal(2.1, 0.9, 2), lambda *_: ABSENT),
            "magnitude": from_record(420, lambda *_: ABSENT, normal(2.1, 0.9, 2)),
        },
        [("field_renamed", "mag -> magnitude")],
        mapped=["mag"],
    ),
    case(
        "a sparse field under a new name",
        {"id": numbered(), "ccy": sometimes(0.3, one_of("EUR", "USD", "CHF", "JPY"))},
        {"ccy": None, "currency": sometimes(0.3, one_of("EUR", "USD", "CHF", "JPY"))},
        [("field_renamed", "ccy -> currency")],
    ),
    case(
        "a new name and another field besides",
        ORDER,
        {"qty": None, "quantity": whole(1, 12), "discount": price(0.5)},
        [("field_renamed", "qty -> quantity"), ("field_added", "discount")],
        mapped=["qty"],
    ),
    case(
        "both names side by side",
        ORDER,
        {"quantity": whole(1, 12)},
        [("field_added", "quantity")],
    ),
    case(
        "a time of the same records",
        {"id": numbered(), "updated": moment()},
        {"updated": None, "last_updated_at": moment()},
        [("field_renamed", "updated -> last_updated_at")],
    ),
    case(
        "a name that splits",
        {"id": numbered(), "name": person(), "age": whole(18, 80)},
        {"name": None, "first_name": one_of(*FIRST), "last_name": one_of(*LAST)},
        [("field_missing", "name"), ("field_added", "first_name"), ("field_added", "last_name")],
        mapped=["name"],
    ),
    case(
        "a time that splits",
        {"id": numbered(), "datetime": moment()},
        {"datetime": None, "date": moment("%Y-%m-%d"), "time": moment("%H:%M:%S")},
        [("field_missing", "datetime"), ("field_added", "date"), ("field_added", "time")],
    ),
    case(
        "coordinates that split",
        {"id": numbered(), "location": lambda random, _: f"{random.random():.4f},{random.random():.4f}"},
        {"location": None, "lat": normal(45, 5, 3), "lon": normal(-20, 9, 3)},
        [("field_missing", "location"), ("field_added", "lat"), ("field_added", "lon")],
    ),
    lost_and_born("depth goes, a source comes", "depth", "network", one_of("us", "ci", "ak", "hv")),
    lost_and_born("an enumeration goes, another comes", "status", "alert", one_of("green", "yellow", "orange", "red")),
    lost_and_born("a title goes, a link comes", "place", "detail", link()),
    lost_and_born("numbers of other sizes", "amount", "stock", whole(0, 40_000)),
    lost_and_born("a city goes, a colour comes", "city", "color", one_of("red", "blue", "green", "black")),
    lost_and_born(
        "a start goes, an end comes",
        "start_date",
        "end_date",
        moment("%Y-%m-%d", 400),
        {"id": numbered(), "start_date": moment("%Y-%m-%d"), "note": sentence()},
    ),
    lost_and_born("a number goes, a flag comes", "qty", "is_gift", one_of(True, False)),
    lost_and_born(
        "a name with other contents",
        "code",
        "codec",
        one_of("h264", "vp9", "av1"),
        {"id": numbered(), "code": code("x", 10_000), "size": whole(10, 9_000)},
    ),
    lost_and_born(
        "free text goes, a name comes", "note", "owner", person(), {"id": numbered(), "note": sentence(6, 20)}
    ),
    Case(
        "columns in another order",
        payloads("order", ORDER, 400),
        [dict(reversed(list(row.items()))) for row in payloads("order", ORDER, 400)],
        frozenset(["amount"]),
        frozenset(),
    ),
    case(
        "a new name and an exact unit",
        {"id": numbered(), "dur": whole(20, 900)},
        {"dur": None, "duration": whole(20, 900)},
        [("field_renamed", "dur -> duration")],
    ),
    case(
        "epoch under a new name",
        {"id": numbered(), "ts": seconds()},
        {"ts": None, "timestamp": seconds()},
        [("field_renamed", "ts -> timestamp")],
    ),
    case(
        "number that became text under a new name",
        {"id": numbered(), "mag": normal(3, 1, 2)},
        {"mag": None, "magnitude": as_text(normal(3, 1, 2))},
        [("field_renamed", "mag -> magnitude")],
    ),
    case(
        "a constant of the same name in another object",
        {"id": numbered(), "meta": inside(unit=lambda *_: Decimal(3), kind=city())},
        {"meta": inside(unit=lambda *_: Decimal(3)), "info": inside(kind=city())},
        [("field_renamed", "meta.kind -> info.kind")],
        allowed=[("field_added", "info")],
    ),
]
