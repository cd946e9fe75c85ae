"""A real Prometheus scrapes a real kasparro: a killed upstream raises the alert, and clears it; the hook is told.

With `-s` it prints what was seen and when: the transcript in docs/operations.md. Needs `prometheus` and `promtool`
(Debian: `apt-get install prometheus`).
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.acceptance.kasparro_process import ROOT, Ended, environment, kasparro, link_to_code
from tests.http_server import Upstream, answer

pytestmark = pytest.mark.long

DEPLOYED = ROOT / "deploy" / "prometheus"
CONFIGURATION = """
sources:
  - name: prices
    type: api
    url: http://127.0.0.1:{upstream}/prices.json
    allow_private: true
    retry: {{attempts: 1}}
    schedule: {{every: 2s, jitter: 0s}}
    key: id
    map: {{title: name, value: price}}
alerts:
  recovered_after: 1s
  hooks:
    - {{name: pager, type: webhook, url: "{hook}", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, allow_private: true}}
"""
PRICES = [{"id": "a", "name": "apples", "price": "1.50"}, {"id": "b", "name": "pears", "price": "2.25"}]
LONGEST_SECONDS = 120
T = TypeVar("T")


@pytest.fixture
def promtool() -> str:
    return executable("promtool")


def executable(name: str) -> str:
    """The path of a program that the machine must have."""
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: apt-get install prometheus"
    return found


def promtool_on_rules(promtool: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [promtool, "test", "rules", "alerts_test.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def rule_names() -> list[str]:
    groups = yaml.safe_load((DEPLOYED / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def test_configuration_and_rules_are_valid_and_their_cases_hold(promtool: str) -> None:
    subprocess.run([promtool, "check", "config", "prometheus.yml"], cwd=DEPLOYED, check=True, capture_output=True)
    ended = promtool_on_rules(promtool, DEPLOYED)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("instead", ["vector(1) < 0", "label_replace(vector(1), 'source', 'prices', '', '')"])
@pytest.mark.parametrize("name", rule_names())
def test_cases_of_a_rule_notice_when_it_never_or_always_fires(
    name: str, instead: str, promtool: str, tmp_path: Path
) -> None:
    document = yaml.safe_load((DEPLOYED / "alerts.yml").read_text(encoding="utf-8"))
    for rule in document["groups"][0]["rules"]:
        if rule["alert"] == name:
            rule["expr"] = instead
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    shutil.copy(DEPLOYED / "alerts_test.yml", tmp_path)
    ended = promtool_on_rules(promtool, tmp_path)
    assert ended.returncode != 0
    assert f"alertname: {name}" in ended.stdout + ended.stderr


@dataclass
class Diary:
    """What was seen, and how many seconds after the beginning."""

    began: float

    def note(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


class Site:
    """A kasparro with an upstream that can be killed, and a Prometheus that watches it."""

    def __init__(self, folder: Path, home: Path, ports: tuple[int, int, int], hook: str) -> None:
        self.port, self.upstream_port, self.prometheus_port = ports
        self.folder = folder
        self.env = environment(KASPARRO_HOME=str(home), KASPARRO_PORT=str(self.port), PYTHONPATH=link_to_code(folder))
        self.upstream: asyncio.subprocess.Process | None = None
        served = folder / "served"
        served.mkdir()
        (served / "prices.json").write_text(json.dumps(PRICES), encoding="utf-8")
        configuration = CONFIGURATION.format(upstream=self.upstream_port, hook=hook)
        (folder / "kasparro.yaml").write_text(configuration, encoding="utf-8")

    async def kasparro(self, *arguments: str) -> Ended:
        return await kasparro(*arguments, env=self.env, cwd=self.folder)

    async def start_upstream(self) -> None:
        self.upstream = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "http.server", str(self.upstream_port), "--bind", "127.0.0.1",
            "--directory", str(self.folder / "served"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until(lambda: fetched(f"http://127.0.0.1:{self.upstream_port}/prices.json"))

    async def kill_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.kill()
            await self.upstream.wait()
            self.upstream = None

    async def start_prometheus(self) -> asyncio.subprocess.Process:
        """The configuration of deploy/, in a hurry, and with this kasparro as its target."""
        document = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text(encoding="utf-8"))
        document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        document["rule_files"] = [str(DEPLOYED / "alerts.yml")]
        document["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{self.port}"]}]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            executable("prometheus"), f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
            "--log.level=error", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until(lambda: fetched(f"http://127.0.0.1:{self.prometheus_port}/-/ready"))
        return process

    def query(self, path: str) -> Any:
        return json.loads(fetched(f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}") or "{}").get("data")

    def firing(self) -> dict[str, dict[str, Any]]:
        """What Prometheus says fires, by name."""
        found = (self.query("alerts") or {}).get("alerts", [])
        return {each["labels"]["alertname"]: each for each in found if each["state"] == "firing"}

    def is_scraped(self) -> bool:
        found = (self.query("query?query=kasparro_circuit_state") or {}).get("result", [])
        return [each["metric"].get("source") for each in found] == ["prices"]


def fetched(url: str) -> str:
    """The body of an answer; empty as long as there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.read().decode() or "empty"
    except (urllib.error.URLError, OSError):
        return ""


async def until(condition: Callable[[], T]) -> T:
    """What the condition says once it says something. Asked again and again: other processes tell of nothing."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while not (said := await asyncio.to_thread(condition)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return said


@pytest.fixture
async def site(tmp_path: Path, home: Path, port: int, other_port: int, upstream: Upstream) -> AsyncIterator[Site]:
    site = Site(tmp_path, home, (port, port + 1, other_port), upstream.on("/hook", answer(204)))
    await site.start_upstream()
    prometheus = await site.start_prometheus()
    yield site
    prometheus.terminate()
    await prometheus.wait()
    await site.kill_upstream()
    await site.kasparro("down")


async def test_killed_upstream_raises_the_alert_and_clears_it(site: Site, upstream: Upstream, promtool: str) -> None:
    diary = Diary(time.monotonic())
    ended = await site.kasparro("up", "--detach")
    assert ended.exit_code == 0, ended.stderr
    diary.note("$ kasparro up --detach")
    await until(site.is_scraped)
    diary.note("Prometheus scrapes kasparro; source prices is read every 2 s")
    page = fetched(f"http://127.0.0.1:{site.port}/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    diary.note(f"promtool check metrics: clean ({len(page.splitlines())} lines)")
    assert "KasparroSourceFailing" not in await asyncio.to_thread(site.firing)

    await site.kill_upstream()
    diary.note("the upstream is killed (SIGKILL)")
    await until(lambda: upstream.requests)
    message = json.loads(upstream.requests[0].body)
    assert (message["type"], message["data"]["kind"], message["data"]["source"]) == (
        "alert.firing",
        "failing",
        "prices",
    )
    diary.note(f"hook pager: {message['type']}: {message['data']['kind']}: {message['data']['summary']}")
    alert = await until(lambda: site.firing().get("KasparroSourceFailing"))
    assert (alert["labels"]["source"], alert["labels"]["severity"]) == ("prices", "page")
    diary.note(f"Prometheus: KasparroSourceFailing fires: {alert['annotations']['summary']}")
    listed = await site.kasparro("alerts", "list", "--json")
    assert {each["kind"] for each in listed.document["data"]} == {"failing", "circuit"}
    diary.note("$ kasparro alerts list")
    for each in listed.document["data"]:
        diary.note(
            f"    {each['source']} {each['kind']} since {each['since']}, told {each['told']}: {each['summary'][:60]}"
        )

    await site.start_upstream()
    diary.note("the upstream is back")
    await until(lambda: "KasparroSourceFailing" not in site.firing())
    diary.note("Prometheus: KasparroSourceFailing is over")
    await until(lambda: len(upstream.requests) > 1)
    message = json.loads(upstream.requests[1].body)
    assert (message["type"], message["data"]["kind"]) == ("alert.resolved", "failing")
    diary.note(f"hook pager: {message['type']}: {message['data']['kind']}, since {message['data']['since']}")
    assert (await site.kasparro("alerts", "list", "--json")).document["data"] == []
    diary.note("$ kasparro alerts list: nothing is wrong")
