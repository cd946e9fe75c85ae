"""The data that loads are measured with: generated rows, the flights of 2013, and three million flights of 2001.

Each is a CSV file beside a kasparro.yaml. What has to be downloaded is kept in bench/.cache and checked by its hash.
"""

import hashlib
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tests.long import flights

CACHE: Final = Path(__file__).parent / ".cache"
CHANGE_EVERY: Final = 10
"""One row in so many is another one in the changed file."""
_VEGA: Final = "vega-datasets@3.2.1"
_THREE_MILLION: Final = "flights-3m.parquet"
_THREE_MILLION_SHA256: Final = "dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0"
_CHUNK_ROWS: Final = 20_000


@dataclass(frozen=True)
class Dataset:
    """A kind of file: how it is written, what kasparro.yaml says of it, and the typed table that would hold it."""

    name: str
    rows: int
    """How many there are; of generated ones: how many are usual."""
    configuration: str
    write_rows: Callable[[Path, int], None]
    """Writes the CSV file with the first so many rows."""
    changing: str
    """The column of whole numbers that differs in the changed file."""
    table: str
    """SQL columns of a bare table."""
    null: str = ""
    key: tuple[str, ...] = ()
    """The columns that name a row; none: the hash of the row."""
    endless: bool = False
    """Whether there could be more."""

    def at_most(self, rows: int | None) -> int:
        """So many rows, or as many as there are."""
        if rows is None:
            return self.rows
        return rows if self.endless else min(rows, self.rows)

    def write(self, folder: Path, rows: int) -> Path:
        """Put file and configuration into a folder; returns the file."""
        file = folder / f"{self.name}.csv"
        self.write_rows(file, rows)
        (folder / "kasparro.yaml").write_text(self.configuration, encoding="utf-8")
        return file

    def write_changed(self, original: Path, changed: Path) -> int:
        """The same file with every tenth row changed; returns how many that are."""
        count = 0
        with original.open(encoding="utf-8") as lines, changed.open("w", encoding="utf-8") as out:
            header = next(lines)
            column = header.rstrip("\n").split(",").index(self.changing)
            out.write(header)
            for number, line in enumerate(lines):
                if number % CHANGE_EVERY:
                    out.write(line)
                else:
                    out.write(_with_next_number(line, column))
                    count += 1
        return count


def _with_next_number(line: str, column: int) -> str:
    """None of our files has a comma or a quote inside a field."""
    fields = line.rstrip("\n").split(",")
    fields[column] = str(int(fields[column]) + 1)
    return ",".join(fields) + "\n"


def _write_generated(file: Path, rows: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write("id,name,amount,price,kind,time,note\n")
        for start in range(0, rows, _CHUNK_ROWS):
            out.writelines(map(_generated_line, range(start, min(start + _CHUNK_ROWS, rows))))


def _generated_line(n: int) -> str:
    """About 150 bytes, every one different."""
    return (
        f"r{n:09d},record number {n},{n % 977},{n % 100_000}.{n % 100:02d},kind{n % 7},"
        f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}T{n % 24:02d}:{n % 59:02d}:{n % 60:02d}Z,"
        f"a note of some length about place {n * 7919 % 1_000_003:07d} and what was seen in it by no. {n % 4099}\n"
    )


def _write_flights(file: Path, rows: int) -> None:
    flights.write_flights(file.parent)
    if rows < flights.ROWS:
        with file.open(encoding="utf-8") as lines:
            kept = list(islice(lines, rows + 1))
        file.write_text("".join(kept), encoding="utf-8")


def _write_three_million(file: Path, rows: int) -> None:
    table = pq.read_table(_three_million_parquet()).slice(0, rows)
    table = table.set_column(0, "date", table["date"].cast(pa.timestamp("s")))
    options = pc.WriteOptions(include_header=False, quoting_style="none")
    with file.open("wb") as out:
        out.write((",".join(table.column_names) + "\n").encode())
        pc.write_csv(table, out, options)


def _three_million_parquet() -> Path:
    """The file out of npm's package, from the cache or by `npm pack`. Raises RuntimeError when it is another one."""
    file = CACHE / _THREE_MILLION
    if not file.exists():
        CACHE.mkdir(exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", _VEGA, "--silent"], cwd=CACHE, check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        with tarfile.open(CACHE / packed) as archive:
            member = archive.extractfile(f"package/data/{_THREE_MILLION}")
            assert member is not None
            file.write_bytes(member.read())
        (CACHE / packed).unlink()
    if hashlib.sha256(file.read_bytes()).hexdigest() != _THREE_MILLION_SHA256:
        raise RuntimeError(f"{file}: not the file that was measured before; remove it to download it again")
    return file


GENERATED: Final = Dataset(
    name="generated",
    rows=1_000_000,
    configuration="""
sources:
  - name: generated
    type: csv
    path: generated.csv
    key: id
    map: {title: name, value: price, category: kind, occurred_at: time, attributes: {amount: amount, note: note}}
""",
    write_rows=_write_generated,
    changing="amount",
    table="id text, name text, amount int, price numeric, kind text, time timestamptz, note text",
    key=("id",),
    endless=True,
)
FLIGHTS: Final = Dataset(
    name="flights",
    rows=flights.ROWS,
    configuration=flights.CONFIGURATION,
    write_rows=_write_flights,
    changing="distance",
    table="year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int, "
    "sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text, origin text, dest text, air_time int, "
    "distance int, hour int, minute int, time_hour timestamptz",
    null="NA",
    key=("time_hour", "carrier", "flight"),
)
FLIGHTS_3M: Final = Dataset(
    name="flights3m",
    rows=3_000_000,
    configuration="""
sources:
  - name: flights3m
    type: csv
    path: flights3m.csv
    map: {title: origin, category: destination, value: delay, unit: {value: min}, occurred_at: date,
          attributes: {distance: distance}}
""",
    write_rows=_write_three_million,
    changing="distance",
    table="date timestamp, delay int, distance int, origin text, destination text",
)
DATASETS: Final = {dataset.name: dataset for dataset in (GENERATED, FLIGHTS, FLIGHTS_3M)}
