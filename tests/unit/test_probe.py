"""The health check of containers."""

import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kasparro.cli.background import SCHEDULER, Background
from kasparro.cli.probe import main


class Answers(BaseHTTPRequestHandler):
    """Ready at /health/ready, and at no other path."""

    def do_GET(self) -> None:
        ready = self.path == "/health/ready"
        self.send_response(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
        del format, args


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of a server."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_without_arguments_the_api_of_the_environment_is_asked(
    answering: int, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KASPARRO_HOST", host)
    monkeypatch.setenv("KASPARRO_PORT", str(answering))
    assert main([]) == 0
    assert capsys.readouterr().out == f"http://127.0.0.1:{answering}/health/ready: 200 /health/ready\n"


def test_any_other_answer_and_none_at_all_are_failures(answering: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{answering}/health"]) == 1
    assert main(["http://127.0.0.1:1/health"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"http://127.0.0.1:{answering}/health: 503 /health"
    assert said[1].startswith("http://127.0.0.1:1/health: ConnectionRefusedError: ")


def test_a_service_is_well_while_it_holds_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KASPARRO_HOME", str(tmp_path))
    assert main([SCHEDULER]) == 1
    with Background(tmp_path, SCHEDULER).held():
        assert main([SCHEDULER]) == 0
    assert main([SCHEDULER]) == 1


def test_it_starts_quickly_for_it_imports_the_standard_library_alone() -> None:
    script = "import sys, kasparro.cli.probe; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"pydantic", "typer", "asyncpg", "structlog", "rich", "httpx"} & set(ran.stdout.split())
