"""Flights in a CSV file, and a later edition of it in which some are changed, some are new and some are missing."""

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("carrier", "flight", "time_hour", "tailnum", "origin", "dest", "distance", "air_time", "dep_delay", "note")
MAP = """
    key: [time_hour, carrier, flight]
    null_values: ["", "NA"]
    map:
      title: tailnum
      category: carrier
      value: distance
      unit: {value: mi}
      occurred_at: time_hour
      attributes: {origin: origin, dest: dest, air_time: air_time, dep_delay: dep_delay}
"""


@dataclass(frozen=True)
class Edition:
    """The text of the later file, and the keys by what happened to them."""

    text: str
    changed: set[str]
    new: set[str]
    missing: set[str]


def flights(count: int) -> list[list[str]]:
    """Rows with keys of their own, under HEADER."""
    chance = random.Random(count)
    return [
        [
            chance.choice(["UA", "AA", "B6"]), str(1000 + number),
            f"2013-01-{1 + number % 28:02}T{number % 24:02}:00:00Z",
            f"N{number % 400:05}", chance.choice(["EWR", "LGA", "JFK"]), chance.choice(["IAH", "MIA"]),
            str(chance.randrange(200, 4000)), str(chance.randrange(30, 600)), str(chance.randrange(-20, 300)), "",
        ]
        for number in range(count)
    ]  # fmt: skip


def edit(
    header: Sequence[str], rows: list[list[str]], *, changed: int, new: int, missing: int, columns: Sequence[str]
) -> Edition:
    """Changed rows get another number in one of `columns` in turn, new ones a flight number that there was not."""
    chance = random.Random(20261123)
    place = {name: header.index(name) for name in header}
    chosen = chance.sample(range(len(rows)), changed + missing)
    gone, edited = set(chosen[:missing]), chosen[missing:]
    later = [list(row) for row in rows]
    for turn, number in enumerate(edited):
        later[number][place[columns[turn % len(columns)]]] = str(100_000 + turn)
    added = [list(row) for row in rows[:new]]
    for turn, row in enumerate(added):
        row[place["flight"]] = str(900_000 + turn)
    kept = [row for number, row in enumerate(later) if number not in gone]
    return Edition(
        written(header, [*kept, *added]),
        {key(header, rows[number]) for number in edited},
        {key(header, row) for row in added},
        {key(header, rows[number]) for number in gone},
    )


def key(header: Sequence[str], row: Sequence[str]) -> str:
    """What tells a row from others, not as kasparro writes it."""
    return " ".join(row[header.index(name)] for name in ("time_hour", "carrier", "flight"))


def written(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The file's text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
