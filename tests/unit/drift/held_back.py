"""The held-back quarter of the table: written before there was a detector, and not looked at while one is tuned."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.unit.drift.case import Case

Record = dict[str, Any]
Make = Callable[[Random, int], Record]
Change = Callable[[Random, Record], Record]


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


FIRST = words("Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jan Kira Leo Mia Nils Olga Paul Rosa Sven Tara Uwe Vera Yann")
LAST = words("Adler Bauer Conti Dietz Evans Fuchs Gruber Huber Ivanov Jansen Kern Lopez Meyer Novak Otto Petit Roth")
TOWNS = words(
    "Aachen Basel Bergen Bonn Bruges Cork Dresden Essen Freiburg Gdansk Genoa Ghent Graz Halle Jena Kassel Kiel Linz "
    "Lyon Malmo Metz Nantes Odense Porto Rouen Salzburg Tartu Trier Turin Ulm Verona Vigo Worms Zadar Zwolle"
)
WORDS = words(
    "please ring twice leave at the door gift for my mother second floor call before fragile thanks parcel box "
    "blue green late early damaged return size small large fits well not as shown very good poor colour again"
)
TAGS = words("postgres python etl csv json feed schema drift replay cursor digest lane")


def sentence(rng: Random) -> str:
    """Free text: rarely the same twice."""
    return " ".join(rng.choices(WORDS, k=rng.randint(4, 12)))


def money(rng: Random, middle: float = 60.0) -> Decimal:
    """An amount with two decimals, most near `middle`, a few far above it."""
    return Decimal(round(middle * math.exp(rng.gauss(0, 0.8)) * 100)).scaleb(-2)


def tenths(rng: Random, mean: float, spread: float) -> Decimal:
    """A measured value with one decimal."""
    return Decimal(round(rng.gauss(mean, spread) * 10)).scaleb(-1)


def moment(rng: Random, number: int) -> datetime:
    """The time of the record with that number: later numbers are later."""
    return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=17 * number + rng.randint(0, 15))


def order(rng: Random, number: int) -> Record:
    """An order of a JSON API, with its lines."""
    lines = [{"sku": f"A-{rng.randint(100, 999)}", "desc": sentence(rng)} for _ in range(rng.randint(1, 3))]
    amount = money(rng)
    return {
        "id": 40_001 + number,
        "placed_at": f"{moment(rng, number):%Y-%m-%dT%H:%M:%SZ}",
        "status": rng.choices(["open", "paid", "shipped", "cancelled"], [20, 30, 45, 5])[0],
        "currency": rng.choice(["EUR", "CHF", "SEK"]),
        "amount": amount,
        "amount_tax": round(amount * Decimal("0.19"), 2),
        "parcels": rng.randint(1, 40),
        "score": rng.randint(0, 100),
        "comment": sentence(rng),
        "lines": lines,
    }


def person(rng: Random, number: int) -> Record:
    """A person in the directory of a company."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    return {
        "id": 7_001 + number,
        "name": f"{first} {last}",
        "email": None if rng.random() < 0.02 else f"{first}.{last}{number}@example.org".lower(),
        "fax": f"+49 {rng.randint(30, 999)} {rng.randint(100_000, 9_999_999)}",
        "floor": rng.randint(0, 12),
        "town": rng.choice(TOWNS),
        "joined": f"{rng.randint(2009, 2025)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    }


def reading(rng: Random, number: int) -> Record:
    """What a weather station reports, its values in an object."""
    return {
        "station": f"ST-{rng.randint(1, 60):03}",
        "time": f"{moment(rng, number):%Y-%m-%dT%H:%M:%SZ}",
        "quality": rng.choices(["good", "estimated", "suspect"], [90, 7, 3])[0],
        "metrics": {
            "temp": tenths(rng, 4, 6),
            "windSpd": abs(tenths(rng, 14, 7)),
            "windDir": rng.randint(0, 359),
            "rain_mm": abs(tenths(rng, 0, 3)) if rng.random() < 0.3 else Decimal("0.0"),
        },
    }


def ride(rng: Random, number: int) -> Record:
    """A ride of a hired bicycle, in the style of JavaScript."""
    return {
        "rideId": f"{rng.getrandbits(64):016x}",
        "bikeId": rng.randint(1, 900),
        "createdAt": f"{moment(rng, number):%Y-%m-%dT%H:%M:%S+00:00}",
        "isMember": rng.random() < 0.7,
        "distance": tenths(rng, 4_200, 900),
        "totalFare": money(rng, 4.0),
    }


def sale(rng: Random, number: int) -> Record:
    """A line of a CSV export from a shop: text only."""
    return {
        "invoice_no": f"R-2026-{1 + number:06}",
        "row": str(1 + number),
        "sold_on": f"{moment(rng, number):%Y-%m-%d}",
        "sold_at": f"{moment(rng, number):%Y-%m-%d %H:%M:%S}",
        "sku": f"{rng.choice('ABC')}-{rng.randint(100, 999)}",
        "qty": str(rng.randint(1, 12)),
        "price": str(money(rng, 20.0)),
        "note": sentence(rng) if rng.random() < 0.4 else "",
        "lat": f"{rng.uniform(47.3, 54.9):.5f}",
        "lng": f"{rng.uniform(6.1, 14.9):.5f}",
    }


def post(rng: Random, number: int) -> Record:
    """A post of a blog: lists that may be empty or absent, and elements with an optional field."""
    comments: list[Record] = [{"by": rng.choice(FIRST), "text": sentence(rng)} for _ in range(rng.randint(0, 3))]
    for comment in comments:
        if rng.random() < 0.04:
            comment["edited_at"] = f"{moment(rng, number):%Y-%m-%dT%H:%M:%SZ}"
    record: Record = {"id": 501 + number, "title": sentence(rng), "author": f"{rng.choice(FIRST)} {rng.choice(LAST)}"}
    if rng.random() < 0.8:
        record["tags"] = rng.sample(TAGS, k=rng.randint(0, 3))
    return record | {"comments": comments}


def payment(rng: Random, number: int) -> Record:
    """A payment with a reference of its own."""
    reference = f"PAY-{rng.getrandbits(48):012X}"
    return {"id": 90_001 + number, "reference": reference, "amount": money(rng), "payer": rng.choice(LAST)}


def same(_rng: Random, record: Record) -> Record:
    """No change but that of time."""
    return record


def renamed(**names: str) -> Change:
    """Fields get new names and stay in their places."""
    return lambda _rng, record: {names.get(name, name): value for name, value in record.items()}


def without(record: Record, *names: str) -> Record:
    """The record less some fields."""
    return {name: value for name, value in record.items() if name not in names}


def amount_with_look_alikes(rng: Random, record: Record) -> Record:
    """`amount` becomes `amount_eur`; `amount_tax` stays beside it and `amount_note` comes up on the same day."""
    return renamed(amount="amount_eur")(rng, record) | {"amount_note": sentence(rng)}


def wind_renamed(_rng: Random, record: Record) -> Record:
    """`windSpd` becomes `wind_speed`, inside its object and beside `windDir`."""
    metrics = dict(record["metrics"])
    return record | {"metrics": {"wind_speed": metrics.pop("windSpd"), **metrics}}


def line_renamed(rng: Random, record: Record) -> Record:
    """`desc` becomes `description` in each element of `lines`."""
    return record | {"lines": [renamed(desc="description")(rng, line) for line in record["lines"]]}


def name_split(_rng: Random, record: Record) -> Record:
    """One name becomes two fields, neither of which is the old one."""
    first, last = record["name"].split(" ")
    return without(record, "name") | {"first_name": first, "last_name": last}


def floor_for_children(rng: Random, record: Record) -> Record:
    """One small number goes and another, unrelated, comes."""
    return without(record, "floor") | {"children": rng.choices([0, 1, 2, 3, 4], [40, 25, 25, 8, 2])[0]}


def fax_for_iban(rng: Random, record: Record) -> Record:
    """One text full of digits goes and another, unrelated, comes."""
    return without(record, "fax") | {"iban": f"DE{rng.randint(10, 99)}{rng.randint(10**17, 10**18 - 1)}"}


def wider(rng: Random, record: Record) -> Record:
    """Whole parcels become text with decimals; whole scores become numbers with one decimal."""
    score = Decimal(record["score"]) + Decimal(rng.randint(0, 9)).scaleb(-1)
    return record | {"parcels": f"{record['parcels']}.{rng.choice('05')}0", "score": score}


def rain_with_unit(_rng: Random, record: Record) -> Record:
    """A number carries its unit and so is text."""
    return record | {"metrics": record["metrics"] | {"rain_mm": f"{record['metrics']['rain_mm']} mm"}}


def author_object(rng: Random, record: Record) -> Record:
    """The author's name becomes an object with that name in it."""
    return record | {"author": {"id": rng.randint(1, 300), "name": record["author"]}}


def in_kilometres(_rng: Random, record: Record) -> Record:
    """Metres become kilometres under the same name."""
    return record | {"distance": round(record["distance"] / 1000, 3)}


def in_cents(_rng: Random, record: Record) -> Record:
    """Prices with two decimals become whole cents under the same name."""
    return record | {"price": str(int(Decimal(record["price"]) * 100))}


def german_dates(_rng: Random, record: Record) -> Record:
    """Dates as day.month.year."""
    return record | {"sold_on": f"{datetime.fromisoformat(record['sold_on']):%d.%m.%Y}"}


def emails_lost(rng: Random, record: Record) -> Record:
    """Nearly half of the addresses are null."""
    return record | ({"email": None} if rng.random() < 0.45 else {})


def some_refunded(rng: Random, record: Record) -> Record:
    """A status that there was not before, on a few of a hundred; comments are as new as ever."""
    return record | ({"status": "refunded"} if rng.random() < 0.06 else {})


def reversed_columns(_rng: Random, record: Record) -> Record:
    """The same columns from right to left."""
    return dict(reversed(record.items()))


def spring(rng: Random, record: Record) -> Record:
    """A warmer and windier month, with one gust in some hundred readings."""
    wind = Decimal("118.0") if rng.random() < 0.004 else abs(tenths(rng, 17, 8))
    return record | {"metrics": record["metrics"] | {"temp": tenths(rng, 10, 6), "windSpd": wind}}


def repeated_references(rng: Random, record: Record) -> Record:
    """More than half of the references are one of thirty, each on many payments."""
    return record | ({"reference": f"PAY-{rng.randint(1, 30):012X}"} if rng.random() < 0.6 else {})


def everything_else(rng: Random, record: Record) -> Record:
    """Another name, another unit and another status at once."""
    return renamed(amount="total")(rng, record) | {"parcels": record["parcels"] * 1000, "status": "archived"}


def with_coupon(rng: Random, number: int) -> Record:
    """An order, one in a hundred with a coupon; it so happens that none has one after the first two thousand."""
    coupon = number < 2_000 and rng.random() < 0.01
    return order(rng, number) | ({"coupon": f"SAVE{rng.randint(5, 30)}"} if coupon else {})


def findings(text: str) -> frozenset[tuple[str, str]]:
    """Findings written as `kind field; kind field`."""
    return frozenset((kind, field) for kind, _, field in (one.partition(" ") for one in text.split("; ") if one))


def case(
    name: str,
    make: Make,
    change: Change,
    mapped: str,
    *,
    found: str = "",
    allowed: str = "",
    counts: tuple[int, int] = (1_000, 400),
) -> Case:
    """A case whose second side goes on where the first ends, changed record by record; `mapped` is split at spaces."""
    rng = Random(name)
    before = [make(rng, number) for number in range(counts[0])]
    after = [change(rng, make(rng, number)) for number in range(counts[0], sum(counts))]
    return Case(name, before, after, frozenset(words(mapped)), findings(found), findings(allowed))


CASES: list[Case] = [
    case(
        "held back: amount to amount_eur among look-alikes",
        order,
        amount_with_look_alikes,
        "id amount placed_at",
        found="field_renamed amount -> amount_eur; field_added amount_note",
    ),
    case(
        "held back: qty to quantity in CSV",
        sale,
        renamed(qty="quantity"),
        "row qty",
        found="field_renamed qty -> quantity",
    ),
    case(
        "held back: lat and lng at once in CSV",
        sale,
        renamed(lat="latitude", lng="longitude"),
        "row lat lng",
        found="field_renamed lat -> latitude; field_renamed lng -> longitude",
    ),
    case(
        "held back: camel case to snake case",
        ride,
        renamed(
            rideId="ride_id", bikeId="bike_id", createdAt="created_at", isMember="is_member", totalFare="total_fare"
        ),
        "rideId createdAt totalFare",
        found="field_renamed rideId -> ride_id; field_renamed bikeId -> bike_id; "
        "field_renamed createdAt -> created_at; field_renamed isMember -> is_member; "
        "field_renamed totalFare -> total_fare",
    ),
    case(
        "held back: rename inside an object",
        reading,
        wind_renamed,
        "station time metrics.windSpd",
        found="field_renamed metrics.windSpd -> metrics.wind_speed",
    ),
    case(
        "held back: rename inside the elements of a list",
        order,
        line_renamed,
        "id lines[].desc",
        found="field_renamed lines[].desc -> lines[].description",
    ),
    case(
        "held back: same towns, other name", person, renamed(town="city"), "id town", found="field_renamed town -> city"
    ),
    case(
        "held back: name splits in two",
        person,
        name_split,
        "id name",
        found="field_missing name; field_added first_name; field_added last_name",
    ),
    case(
        "held back: floor goes, children come",
        person,
        floor_for_children,
        "id name floor",
        found="field_missing floor; field_added children",
    ),
    case(
        "held back: fax goes, IBAN comes",
        person,
        fax_for_iban,
        "id name email",
        found="field_missing fax; field_added iban",
    ),
    case(
        "held back: whole numbers to decimals and to decimal text",
        order,
        wider,
        "id parcels score",
        found="type_changed parcels",
        allowed="value_shift parcels; type_changed score; value_shift score",
    ),
    case(
        "held back: number becomes text with a unit",
        reading,
        rain_with_unit,
        "station metrics.rain_mm",
        found="type_changed metrics.rain_mm",
        allowed="value_shift metrics.rain_mm",
    ),
    case(
        "held back: text becomes an object",
        post,
        author_object,
        "id title author",
        found="type_changed author",
        allowed="field_added author.id; field_added author.name; "
        "field_renamed author -> author.name; value_shift author",
    ),
    case("held back: metres to kilometres", ride, in_kilometres, "rideId distance", found="value_shift distance"),
    case(
        "held back: prices to cents in CSV",
        sale,
        in_cents,
        "row price",
        found="value_shift price",
        allowed="type_changed price",
    ),
    case(
        "held back: date format in CSV",
        sale,
        german_dates,
        "row sold_on",
        found="value_shift sold_on",
        allowed="type_changed sold_on",
    ),
    case("held back: addresses become null", person, emails_lost, "id email", found="value_shift email"),
    case("held back: new status, new comments", order, some_refunded, "id status", found="value_shift status"),
    case(
        "held back: references repeat",
        payment,
        repeated_references,
        "id reference amount",
        found="value_shift reference",
    ),
    case("held back: sparse coupon by chance absent", with_coupon, same, "id coupon amount", counts=(2_000, 130)),
    case("held back: columns reordered, export grows", sale, reversed_columns, "invoice_no sold_at price"),
    case("held back: spring follows winter", reading, spring, "station time metrics.temp metrics.windSpd"),
    case("held back: lists and elements with optional parts", post, same, "id title tags[] comments[].by"),
    case("held back: everything else, in 60 records", order, everything_else, "id amount status", counts=(1_000, 60)),
]
