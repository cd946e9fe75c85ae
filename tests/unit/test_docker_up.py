"""What `make docker-up` says where it cannot work, and which secrets it writes; the engine itself is not needed."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "docker-up"
SECRETS = r"POSTGRES_PASSWORD=[0-9a-f]{32}\nAPI_KEY=[0-9a-f]{32}\n"


class Place:
    """A copy of the script in a folder of its own, and a `docker` that does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.env_file = folder / ".env"
        self._programs = folder / "programs"
        (folder / "deploy").mkdir()
        self._programs.mkdir()
        self._script = Path(shutil.copy(SCRIPT, folder / "deploy"))

    def run(self, docker: str, **variables: str) -> subprocess.CompletedProcess[str]:
        program = self._programs / "docker"
        program.write_text(f"#!/bin/sh\n{docker}\n", encoding="utf-8")
        program.chmod(0o755)
        path = f"{self._programs}:{os.environ['PATH']}"
        environment = {"PATH": path, **variables}
        return subprocess.run([str(self._script)], env=environment, capture_output=True, text=True, check=False)

    @property
    def secrets(self) -> str:
        return self.env_file.read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("docker", "message"),
    [
        ("exit 1", "docker-up: 'docker compose' is not there."),
        ('[ "$1" != info ]', "docker-up: the Docker engine does not answer"),
        ('[ "$1" != volume ] || echo kasparro_postgres', "docker-up: the database of an earlier time is there"),
        ('case "$*" in *--build*) exit 1;; esac', "docker-up: wrote a random POSTGRES_PASSWORD to .env"),
    ],
)
def test_what_is_missing_is_named(place: Place, docker: str, message: str) -> None:
    outcome = place.run(docker)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(message)


def test_fresh_secrets_are_for_their_owner_alone_and_stay(place: Place) -> None:
    assert place.run("exit 0").returncode == 0
    written = place.secrets
    assert re.fullmatch(SECRETS, written)
    assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600
    assert place.run("exit 0").stderr == ""
    assert place.secrets == written


def test_what_env_has_already_is_kept(place: Place) -> None:
    place.env_file.write_text("LOG_LEVEL=DEBUG\nAPI_KEY=mine", encoding="utf-8")
    place.run("exit 0")
    assert re.fullmatch(r"LOG_LEVEL=DEBUG\nAPI_KEY=mine\nPOSTGRES_PASSWORD=[0-9a-f]{32}\n", place.secrets)


def test_a_secret_of_the_environment_needs_none_in_the_file(place: Place) -> None:
    place.run("exit 0", POSTGRES_PASSWORD="from-elsewhere")
    assert re.fullmatch(r"API_KEY=[0-9a-f]{32}\n", place.secrets)


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (8, 0), (4, 4)])
def test_a_source_that_fails_shows_in_the_exit_code(place: Place, code: int, expected: int) -> None:
    outcome = place.run(f'case "$*" in *scheduler\\ run*) exit {code};; *port*) echo 127.0.0.1:8000;; esac')
    assert outcome.returncode == expected
    assert "The API answers at http://127.0.0.1:8000\n" in outcome.stdout


def test_a_file_that_others_could_read_is_closed_to_them_before_a_secret_is_in_it(place: Place) -> None:
    place.env_file.write_text("LOG_LEVEL=DEBUG\n", encoding="utf-8")
    place.env_file.chmod(0o644)
    place.run("exit 0")
    assert re.fullmatch(f"LOG_LEVEL=DEBUG\n{SECRETS}", place.secrets)
    assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600
