"""What a CSV source's `path` may name, and what is said of everything else."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kasparro.core.errors import SourceError
from kasparro.ingestion.sources.csv.files import matching_files
from tests.unprivileged import unprivileged


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user reaches."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    (path / "open").mkdir()
    (path / "locked").mkdir()
    for name in ("open/a.csv", "locked/b.csv"):
        (path / name).write_text("id\n1\n")
    yield path
    (path / "locked").chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
@pytest.mark.parametrize("pattern", ["*/*.csv", "**/*.csv", "locked/*.csv", "locked/b*"])
def test_a_folder_that_cannot_be_looked_into_is_an_error(folder: Path, pattern: str, mode: int) -> None:
    (folder / "locked").chmod(mode)
    with unprivileged(), pytest.raises(SourceError, match=r"^locked.*: Permission denied$"):
        matching_files(pattern, folder)


def test_a_file_in_a_locked_folder_is_an_error(folder: Path) -> None:
    (folder / "locked").chmod(0)
    with unprivileged(), pytest.raises(SourceError, match=r"^locked/b\.csv: Permission denied$"):
        matching_files("locked/b.csv", folder)


def test_a_locked_folder_beside_the_pattern_is_nobodys_business(folder: Path) -> None:
    (folder / "locked").chmod(0)
    with unprivileged():
        assert matching_files("open/*.csv", folder) == ["open/a.csv"]
        assert matching_files("*", folder) == []


def test_what_is_no_file_is_named_as_what_it_is(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(SourceError, match=r"^open: is a folder, not a file$") as caught:
        matching_files("open", folder)
    assert caught.value.hint == "name the files in it, such as `folder/*.csv`"
    with pytest.raises(SourceError, match=r"^pipe\.csv: is a named pipe, not a file$"):
        matching_files("pipe.csv", folder)
    with pytest.raises(SourceError, match=r"^/dev/null: is a device, not a file$"):
        matching_files("/dev/null", folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s.csv"))
        with pytest.raises(SourceError, match=r"^s\.csv: is a socket, not a file$"):
            matching_files("s.csv", folder)
    assert matching_files("*.csv", folder) == []
