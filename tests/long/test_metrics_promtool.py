"""`promtool check metrics` over the page of a running system: names, types, help and units as Prometheus wants them.

Needs `promtool` (Debian: `apt-get install prometheus`).
"""

import asyncio
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.kasparro_process import environment, kasparro, link_to_code
from tests.http_server import Upstream, answer, json_answer

pytestmark = pytest.mark.long

CONFIGURATION = """
sources:
  - {{name: trades, type: csv, path: trades.csv, key: id, map: {{title: id, value: price}}}}
  - name: prices
    type: api
    url: "{url}"
    allow_private: true
    records: data
    key: id
    map: {{title: name, value: price}}
    schedule: {{every: 1h}}
"""


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None, "promtool is not installed: apt-get install prometheus"
    return found


async def test_the_page_of_a_running_system_has_nothing_to_mend(
    promtool: str, tmp_path: Path, home: Path, port: int, upstream: Upstream
) -> None:
    rows = [{"id": "a", "name": "apples", "price": "1.50"}, {"id": "b", "name": "pears", "price": "much"}]
    url = upstream.on("/prices", answer(503, b"later"), json_answer({"data": rows}))
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION.format(url=url), encoding="utf-8")
    (tmp_path / "trades.csv").write_text("id,price\na,1.50\nb,none\n", encoding="utf-8")
    env = environment(KASPARRO_HOME=str(home), KASPARRO_PORT=str(port), PYTHONPATH=link_to_code(tmp_path))
    try:
        up = await kasparro("up", "--detach", env=env, cwd=tmp_path)
        assert up.exit_code == 0, up.stderr
        ran = await kasparro("run", "--json", env=env, cwd=tmp_path)
        assert ran.exit_code == 0, ran.stderr
        page = await asyncio.to_thread(scrape, port)
    finally:
        await kasparro("down", env=env, cwd=tmp_path)
    print(page, file=sys.stderr)
    assert 'kasparro_http_client_requests_total{source="prices",status_class="2xx"}' in page
    assert 'kasparro_retries_total{reason="status_503",source="prices"} 1.0' in page
    assert 'kasparro_rejected_open{code="' in page
    checked = subprocess.run([promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def scrape(port: int) -> str:
    """A page after some requests of each kind."""
    statuses = [_status(f"http://127.0.0.1:{port}{path}") for path in ("/data", "/health", "/runs/999", "/nowhere")]
    assert statuses == [200, 200, 404, 404]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        return response.read().decode()


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
