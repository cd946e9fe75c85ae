"""Two sources that most tuning cases of shifts stand on, as JSON and as rows of text."""

from tests.unit.drift.generators import (
    Fields,
    as_text,
    city,
    code,
    moment,
    numbered,
    one_of,
    person,
    price,
    sentence,
    sometimes,
    whole,
)

ROW: Fields = {
    "id": numbered(),
    "key": code("k"),
    "value": price(3.0),
    "level": whole(0, 100),
    "state": one_of("open", "closed", "held"),
    "city": city(),
    "at": moment(),
    "note": sometimes(0.8, sentence(), None),
    "rare": sometimes(0.02, whole(1, 9)),
}
TEXT: Fields = {
    "id": as_text(numbered()),
    "price": as_text(price(3.0)),
    "count": as_text(whole(0, 400)),
    "day": moment("%Y-%m-%d"),
    "name": person(),
    "flag": one_of("true", "false"),
    "note": sometimes(0.7, sentence(), ""),
}
