"""Which `.env` a command reads: one, and that of the place it works for."""

import os
from pathlib import Path

import pytest

from kasparro.cli.environment import read_env_file
from kasparro.core.errors import ConfigurationError
from tests.unprivileged import unprivileged

NAMES = ("API_KEY", "LOG_LEVEL", "DATABASE_URL", "KASPARRO_CONFIG", "KASPARRO_ENV_FILE")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The current folder, and the one of the configuration, each with a `.env`."""
    for name in NAMES:  # known to monkeypatch, so that what a file sets is taken back
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / ".env").write_text(f"API_KEY=of-{folder.name}\n", encoding="utf-8")
    monkeypatch.chdir(here)
    return here, there


def api_key(config: Path | None = None) -> str | None:
    read_env_file(config)
    return os.environ.get("API_KEY")


@pytest.mark.usefixtures("folders")
def test_without_a_configuration_named_it_is_that_of_the_current_folder() -> None:
    assert api_key() == "of-here"


def test_the_one_beside_the_configuration_is_read_and_no_other(folders: tuple[Path, Path]) -> None:
    """A DATABASE_URL of here would send the records of there into the wrong database."""
    here, there = folders
    with (here / ".env").open("a", encoding="utf-8") as file:
        file.write("DATABASE_URL=postgresql://localhost/here\n")
    assert api_key(there / "kasparro.yaml") == "of-there"
    assert "DATABASE_URL" not in os.environ


@pytest.mark.usefixtures("folders")
def test_kasparro_config_names_the_place_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KASPARRO_CONFIG", "../there/kasparro.yaml")
    assert api_key() == "of-there"


def test_where_there_is_none_beside_the_configuration_it_is_that_of_the_current_folder(
    folders: tuple[Path, Path],
) -> None:
    (folders[1] / ".env").unlink()
    assert api_key(folders[1] / "kasparro.yaml") == "of-here"


def test_a_file_named_by_hand_goes_before_both_and_the_environment_before_all(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[0] / "other.env").write_text("API_KEY=of-other\nLOG_LEVEL=DEBUG\n", encoding="utf-8")
    monkeypatch.setenv("KASPARRO_ENV_FILE", "other.env")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert api_key(folders[1] / "kasparro.yaml") == "of-other"
    assert os.environ["LOG_LEVEL"] == "ERROR"


@pytest.mark.usefixtures("folders")
def test_no_file_at_all_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KASPARRO_ENV_FILE", os.devnull)
    assert api_key() is None


@pytest.mark.usefixtures("folders")
def test_a_file_named_by_hand_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KASPARRO_ENV_FILE", "prodution.env")
    with pytest.raises(ConfigurationError, match=r"KASPARRO_ENV_FILE=prodution\.env: there is no such file"):
        read_env_file(None)


def test_a_file_that_is_no_text_is_named(folders: tuple[Path, Path]) -> None:
    (folders[0] / ".env").write_bytes(b"API_KEY=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"^\.env: not UTF-8 text"):
        read_env_file(None)


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    import tempfile

    monkeypatch.delenv("KASPARRO_ENV_FILE", raising=False)
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / ".env").touch(mode=0o600)
    (folder / ".env").chmod(0)
    try:
        with unprivileged(), pytest.raises(ConfigurationError, match=r"\.env: cannot be read: Permission denied"):
            read_env_file(folder / "kasparro.yaml")
    finally:
        shutil.rmtree(folder)
