"""Which key `make up` writes into `.env`, and who may read that file; nothing is started."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The Makefile beside programs that are there already: a Python, and a `kasparro` that does nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "python").symlink_to(sys.executable)
    command = tmp_path / "programs" / "kasparro"
    command.write_text("#!/bin/sh\n", encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".runtime").touch()
    return tmp_path


def make_up(place: Path) -> tuple[str, int]:
    """The text of `.env`, and its mode."""
    arguments = ["make", "--assume-old=venv/.runtime", "VENV=venv", "BIN=programs", "up"]
    subprocess.run(arguments, cwd=place, check=True, capture_output=True)
    file = place / ".env"
    return file.read_text(encoding="utf-8"), stat.S_IMODE(file.stat().st_mode)


def test_a_copied_example_becomes_its_owners_alone_once_a_key_is_in_it(place: Path) -> None:
    (place / ".env").write_text("#API_KEY=\nLOG_LEVEL=DEBUG", encoding="utf-8")
    (place / ".env").chmod(0o644)
    text, mode = make_up(place)
    assert re.fullmatch(r"#API_KEY=\nLOG_LEVEL=DEBUG\nAPI_KEY=[0-9a-f]{32}\n", text)
    assert mode == 0o600
    assert make_up(place) == (text, mode)


def test_without_a_file_one_is_made_for_its_owner_alone(place: Path) -> None:
    text, mode = make_up(place)
    assert re.fullmatch(r"API_KEY=[0-9a-f]{32}\n", text)
    assert mode == 0o600


def test_a_file_that_has_a_key_is_left_alone(place: Path) -> None:
    (place / ".env").write_text("API_KEY=mine\n", encoding="utf-8")
    (place / ".env").chmod(0o640)
    assert make_up(place) == ("API_KEY=mine\n", 0o640)
