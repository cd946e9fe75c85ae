"""What a background process was started with: which changes matter to which process, and that no secret is kept."""

import json
from pathlib import Path

import pytest

from kasparro.cli.background import DEMO, SCHEDULER, SERVER, Background, held_by_service
from kasparro.cli.fingerprint import changes, code_version, take
from kasparro.core.errors import ConfigurationError
from kasparro.core.settings import Settings, load_settings

KEY = "correct-horse-battery-staple"
CONFIGURATION = """
sources:
  - name: things
    type: api
    url: "https://${HOST_OF_THINGS:-example.org}/things"
    auth: {type: api_key, header: X-Key, value: "${API_KEY}"}
    pagination: {type: page, param: page}
    key: id
    map: {title: name}
"""
ADDRESSES = {SERVER: ("127.0.0.1", 8000), SCHEDULER: ("", 0), DEMO: ("127.0.0.1", 8010)}


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings with a configuration; the variables in that one come from the environment."""
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION, encoding="utf-8")
    monkeypatch.setenv("API_KEY", KEY)
    monkeypatch.delenv("HOST_OF_THINGS", raising=False)
    return {"KASPARRO_CONFIG": str(tmp_path / "kasparro.yaml"), "API_KEY": KEY}


def taken(environ: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: take(load_settings(environ), name, *address) for name, address in ADDRESSES.items()}


def changed(before: dict[str, dict[str, str]], settings: Settings) -> dict[str, list[str]]:
    """What each process would be started anew for; those that would not are left out."""
    found = {name: changes(before[name], settings, name, *address) for name, address in ADDRESSES.items()}
    return {name: names for name, names in found.items() if names}


def test_nothing_changed_is_nothing(environ: dict[str, str]) -> None:
    """Two fingerprints of the same are not the same text: each has a key of its own."""
    before = taken(environ)
    assert changed(before, load_settings(environ)) == {}
    assert not set(before[SCHEDULER].values()) & set(take(load_settings(environ), SCHEDULER).values())


@pytest.mark.parametrize(
    ("variable", "value", "names"),
    [
        ("LOG_LEVEL", "DEBUG", {DEMO, SCHEDULER, SERVER}),
        ("DATABASE_URL", "postgresql://h/d", {SCHEDULER, SERVER}),
        ("ETL_INTERVAL_MINUTES", "7", {SCHEDULER}),
        ("KASPARRO_CONTACT", "me@example.org", {SCHEDULER}),
        ("KASPARRO_BATCH_RECORDS", "10", {SCHEDULER, SERVER}),
        ("KASPARRO_REQUESTS_PER_MINUTE", "10", {SERVER}),
        ("KASPARRO_READ_KEY_REQUIRED", "true", {SERVER}),
        ("KASPARRO_CORS_ORIGINS", "https://app.example.org", {SERVER}),
        ("KASPARRO_INJECT", "commit:kill:3", set[str]()),
        ("KASPARRO_ENV_FILE", "other.env", set[str]()),
    ],
)
def test_a_setting_concerns_those_that_read_it(
    environ: dict[str, str], variable: str, value: str, names: set[str]
) -> None:
    found = changed(taken(environ), load_settings({**environ, variable: value}))
    assert found == {name: [variable] for name in names}


def test_a_new_key_concerns_the_demo_and_whoever_reads_with_it(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = taken(environ)
    monkeypatch.setenv("API_KEY", "another-key")
    assert changed(before, load_settings({**environ, "API_KEY": "another-key"})) == {
        DEMO: ["API_KEY"],
        SCHEDULER: ["API_KEY"],
    }


def test_a_key_in_a_file_is_known_by_what_the_file_holds(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = taken(environ)
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    monkeypatch.delenv("API_KEY")
    monkeypatch.setenv("API_KEY_FILE", str(tmp_path / "key"))
    del environ["API_KEY"]
    environ["API_KEY_FILE"] = str(tmp_path / "key")
    assert changed(before, load_settings(environ)) == {}
    (tmp_path / "key").write_text("another-key", encoding="utf-8")
    assert changed(before, load_settings(environ)) == {DEMO: ["API_KEY"], SCHEDULER: ["API_KEY"]}


def test_the_configuration_concerns_the_scheduler_but_not_its_comments(environ: dict[str, str], tmp_path: Path) -> None:
    before = taken(environ)
    file = tmp_path / "kasparro.yaml"
    file.write_text(f"# a comment\n{CONFIGURATION}", encoding="utf-8")
    assert changed(before, load_settings(environ)) == {}
    file.write_text(f"{CONFIGURATION}    schedule: {{every: 1m}}\n", encoding="utf-8")
    assert changed(before, load_settings(environ)) == {SCHEDULER: ["configuration"]}


def test_a_variable_of_the_configuration_is_named(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = taken(environ)
    monkeypatch.setenv("HOST_OF_THINGS", "example.com")
    assert changed(before, load_settings(environ)) == {SCHEDULER: ["HOST_OF_THINGS"]}


def test_an_address_concerns_who_serves_there(environ: dict[str, str]) -> None:
    settings, before = load_settings(environ), taken(environ)
    assert changes(before[SERVER], settings, SERVER, "127.0.0.1", 8001) == ["KASPARRO_PORT"]
    assert changes(before[SERVER], settings, SERVER, "::1", 8000) == ["KASPARRO_HOST"]
    assert changes(before[DEMO], settings, DEMO, "127.0.0.1", 8011) == ["KASPARRO_DEMO_PORT"]


def test_other_code_concerns_all_and_so_does_a_process_that_left_no_fingerprint(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = taken(environ)
    assert changes({}, load_settings(environ), SCHEDULER) == ["version of kasparro"]
    monkeypatch.setattr("kasparro.cli.fingerprint.code_version", lambda: "0.0.9")
    assert changed(before, load_settings(environ)) == {name: ["version of kasparro"] for name in ADDRESSES}


def test_the_code_is_known_by_version_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kasparro.__file__", str(tmp_path / "src" / "kasparro" / "__init__.py"))
    monkeypatch.setattr("kasparro.__version__", "1.2.3")
    assert code_version() == "1.2.3"
    (tmp_path / ".git" / "logs").mkdir(parents=True)
    line = "{} {} A <a@example.org> 1 +0000\tcommit: {}\n"
    text = line.format("0" * 40, "a" * 40, "one") + line.format("a" * 40, "b" * 40, "two")
    (tmp_path / ".git" / "logs" / "HEAD").write_text(text, encoding="utf-8")
    assert code_version() == f"1.2.3 {'b' * 40}"
    (tmp_path / ".git" / "logs" / "HEAD").write_text("", encoding="utf-8")
    assert code_version() == "1.2.3"


def test_it_stands_beside_the_number_of_the_process_and_tells_no_secret(
    environ: dict[str, str], tmp_path: Path
) -> None:
    settings = load_settings({**environ, "DATABASE_URL": "postgresql://me:hunter2@h/d"})
    with held_by_service(settings, SCHEDULER, lambda _: None):
        process = Background(settings.home, SCHEDULER).find()
        assert process is not None
        assert not process.detached
        assert changes(process.fingerprint, settings, SCHEDULER) == []
        text = (tmp_path / ".kasparro" / "scheduler.lock").read_text(encoding="utf-8")
        assert set(json.loads(text)["fingerprint"]) > {"API_KEY", "DATABASE_URL", "configuration"}
        assert "hunter2" not in text
        assert KEY not in text
        assert (tmp_path / ".kasparro" / "scheduler.lock").stat().st_mode & 0o777 == 0o600


def test_a_fingerprint_for_which_there_is_no_room_is_left_out(tmp_path: Path) -> None:
    background = Background(tmp_path, DEMO)
    with background.held("127.0.0.1", 9, {f"VARIABLE_{number}": "0" * 16 for number in range(1000)}):
        process = background.find()
        assert process is not None
        assert (process.port, process.fingerprint) == (9, {})


def test_a_scheduler_without_a_configuration_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "kasparro.yaml").unlink()
    with pytest.raises(ConfigurationError, match="there is no such configuration file"):
        take(load_settings(environ), SCHEDULER)


@pytest.mark.parametrize(
    "text", ["alerts: {failing_after: 2}\n", 'alerts:\n  hooks: [{name: a, type: slack, url: "${URL}"}]\n']
)
def test_alerts_are_read_by_the_scheduler(
    text: str, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", "https://example.org/one")
    before = taken(environ)
    (tmp_path / "kasparro.yaml").write_text(CONFIGURATION + text, encoding="utf-8")
    with_alerts = taken(environ)
    assert SCHEDULER in changed(before, load_settings(environ))
    monkeypatch.setenv("URL", "https://example.org/two")
    assert (SCHEDULER in changed(with_alerts, load_settings(environ))) == ("URL" in text)
