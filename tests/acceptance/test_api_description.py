"""The real server, with a scheduler beside it, answers as /openapi.json says: a short look by schemathesis.

The long one, over the flights, is `tests/long/test_schemathesis.py`.
"""

from pathlib import Path

from kasparro.core.database import ConnectionOptions
from tests.schemathesis_run import ask_everything, service

CONFIGURATION = """
sources:
  - {name: flights, type: csv, path: flights.csv, key: [id], map: {title: name, value: distance}}
"""
ROWS = "id,name,distance\n" + "".join(f"{number},N{14000 + number},{number * 7}\n" for number in range(60))


async def test_every_operation_answers_as_it_is_described(
    tmp_path: Path, port: int, database: ConnectionOptions
) -> None:
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "flights.csv").write_text(ROWS, encoding="utf-8")
    async with service(database, tmp_path, port) as (url, key):
        ended = await ask_everything(url, key, tmp_path, seed=20261122, max_examples=3)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert "No issues found" in ended.stdout
