"""What payloads of the tuning cases are made of: the same for the same name, each time."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.unit.drift.case import Case

Payload = dict[str, Any]
Make = Callable[[Random, int], Any]
"""A field's value in the record of a number; ABSENT where it has none."""
Fields = dict[str, Make]
ABSENT = object()
START = datetime(2026, 3, 1, tzinfo=UTC)
CITIES = ("Oslo", "Porto", "Lyon", "Graz", "Turku", "Ghent", "Brno", "Cork", "Bari", "Malmö", "Split", "Gdynia")
FIRST = ("Anna", "Ben", "Chloe", "Dario", "Elif", "Femi", "Goran", "Hana", "Ivo", "June", "Kofi", "Lea", "Milo", "Nina")
LAST = ("Abel", "Bosch", "Costa", "Dahl", "Egger", "Fox", "Gomez", "Hahn", "Ito", "Jung", "Kaya", "Lund", "Moor", "Ng")
WORDS = ("wave", "stone", "north", "signal", "river", "copper", "market", "light", "engine", "harbor", "cloud", "field")


def numbered(first: int = 1) -> Make:
    return lambda _, number: first + number


def code(prefix: str = "us", first: int = 7_000_000) -> Make:
    return lambda random, number: f"{prefix}{first + number * 7 + random.randrange(7)}"


def price(mean: float = 3.0, spread: float = 0.8, factor: int = 1) -> Make:
    return lambda random, _: Decimal(f"{random.lognormvariate(mean, spread):.2f}") * factor


def normal(mean: float, spread: float, digits: int = 1) -> Make:
    return lambda random, _: Decimal(f"{random.gauss(mean, spread):.{digits}f}")


def whole(low: int, high: int) -> Make:
    return lambda random, _: random.randint(low, high)


def one_of(*values: Any, weights: Sequence[float] | None = None) -> Make:
    return lambda random, _: random.choices(values, weights)[0]


def city() -> Make:
    return one_of(*CITIES)


def person() -> Make:
    return lambda random, _: f"{random.choice(FIRST)} {random.choice(LAST)}"


def sentence(shortest: int = 4, longest: int = 9) -> Make:
    return lambda random, _: " ".join(random.choices(WORDS, k=random.randint(shortest, longest))).capitalize()


def moment(form: str = "%Y-%m-%dT%H:%M:%SZ", days: int = 0) -> Make:
    def make(random: Random, number: int) -> str:
        return (START + timedelta(days=days, minutes=number * 13, seconds=random.randrange(60))).strftime(form)

    return make


def seconds(factor: int = 1) -> Make:
    return lambda random, number: (1_772_323_200 + number * 780 + random.randrange(60)) * factor


def link(host: str = "example.org") -> Make:
    return lambda random, number: f"https://{host}/items/{number}/{random.randrange(10_000)}"


def sometimes(share: float, make: Make, otherwise: Any = ABSENT) -> Make:
    return lambda random, number: make(random, number) if random.random() < share else otherwise


def as_text(make: Make) -> Make:
    def text(random: Random, number: int) -> Any:
        value = make(random, number)
        return value if value is ABSENT else str(value)

    return text


def from_record(border: int, earlier: Make, later: Make) -> Make:
    return lambda random, number: (earlier if number < border else later)(random, number)


def inside(**fields: Make) -> Make:
    return lambda random, number: record(random, number, fields)


def several(make: Make, most: int = 3) -> Make:
    return lambda random, number: [make(random, number) for _ in range(random.randint(1, most))]


def record(random: Random, number: int, fields: Fields) -> Payload:
    made = {name: make(random, number) for name, make in fields.items()}
    return {name: value for name, value in made.items() if value is not ABSENT}


def payloads(name: str, fields: Fields, size: int, first: int = 0) -> list[Payload]:
    random = Random(name)
    return [record(random, first + number, fields) for number in range(size)]


def case(
    name: str,
    before: Fields,
    changes: dict[str, Make | None],
    found: Sequence[tuple[str, str]] = (),
    *,
    allowed: Sequence[tuple[str, str]] = (),
    mapped: Sequence[str] = (),
    sizes: tuple[int, int] = (300, 250),
) -> Case:
    """A case whose second side has these fields changed, added, or (None) taken away, over other records."""
    after = {field: make for field, make in (before | changes).items() if make is not None}
    return Case(
        name,
        payloads(name + " before", before, sizes[0]),
        payloads(name + " after", after, sizes[1], sizes[0]),
        frozenset(mapped),
        frozenset(found),
        frozenset(allowed),
    )


def mixed(share: float, odd: Make, make: Make) -> Make:
    """A share of the values is made otherwise."""
    return lambda random, number: (odd if random.random() < share else make)(random, number)
