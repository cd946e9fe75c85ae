"""What quality checks said of a run's records, as the API shows it."""

from pathlib import Path

import httpx

from kasparro.core.database import ConnectionOptions
from tests.judged import Judged


async def test_run_shows_what_its_checks_said_with_records_run_and_payload(
    client: httpx.AsyncClient, database: ConnectionOptions, tmp_path: Path
) -> None:
    judged = Judged(tmp_path, database)
    judged.write({"kind": "x"}, {"kind": "z"})
    await judged.judge("type: in, field: category, values: [x]", "type: row_count, min: 3, level: warn")
    run = (await client.get("/runs/1")).json()["data"]
    assert (run["state"], run["error"]["code"]) == ("failed", "quality_check_failed")
    failed, warned = run["quality"]
    (example,) = failed["examples"]
    assert failed == {
        "name": "category in x",
        "level": "fail",
        "passed": False,
        "checked": 2,
        "failed": 1,
        "seen": None,
        "message": "category in x: not so for 1 of 2 records, such as k2 (z; from run 1)",
        "examples": [{"record_key": "k2", "values": {"category": "z"}, "run_id": 1, "raw_id": example["raw_id"]}],
        "definition": {"type": "in", "field": "category", "values": ["x"], "level": "fail", "max_share": 0.0},
    }
    assert (warned["level"], warned["passed"], warned["seen"], warned["examples"]) == ("warn", False, "2", [])
    raw = (await client.get(f"/raw/{example['raw_id']}")).json()
    assert '"z"' in str(raw).replace("'", '"')
