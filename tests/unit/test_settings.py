"""The environment: defaults, `*_FILE` twins, and errors that never show a value."""

from pathlib import Path

import pytest

from kasparro.core.errors import ConfigurationError
from kasparro.core.settings import load_settings, variable_names

SECRET = "postgresql://u:hunter2@host/db"


def test_nothing_set_is_enough() -> None:
    settings = load_settings({})
    assert (settings.database_url, settings.log_level, settings.host, settings.port) == (
        None,
        "INFO",
        "127.0.0.1",
        8000,
    )
    assert (settings.batch_records, settings.inject, settings.environment) == (20_000, None, "development")
    assert settings.config_path == Path("kasparro.yaml").resolve()
    assert settings.home == Path(".kasparro").resolve()


def test_the_home_stands_beside_the_configuration_unless_it_is_set(tmp_path: Path) -> None:
    beside = load_settings({"KASPARRO_CONFIG": str(tmp_path / "deep" / "sources.yaml")})
    assert beside.home == tmp_path / "deep" / ".kasparro"
    chosen = load_settings({"KASPARRO_CONFIG": str(tmp_path / "sources.yaml"), "KASPARRO_HOME": str(tmp_path / "home")})
    assert chosen.home == tmp_path / "home"


def test_localhost_is_the_address_that_it_stands_for() -> None:
    assert load_settings({"KASPARRO_HOST": "localhost"}).host == "127.0.0.1"


def test_empty_means_unset() -> None:
    settings = load_settings({"KASPARRO_PORT": "", "DATABASE_URL": "", "LOG_LEVEL_FILE": ""})
    assert (settings.port, settings.database_url) == (8000, None)


@pytest.mark.parametrize("name", variable_names())
def test_every_variable_has_a_twin_that_names_a_file(tmp_path: Path, name: str) -> None:
    values = {"LOG_LEVEL": "DEBUG", "KASPARRO_ENVIRONMENT": "production", "KASPARRO_READ_KEY_REQUIRED": "true"}
    values |= {"KASPARRO_CORS_ORIGINS": "https://a.example", "KASPARRO_TRUSTED_PROXIES": "10.0.0.0/8"}
    values |= {"KASPARRO_LOG_LEVELS": "kasparro.api=DEBUG"}
    value = values.get(name, "17")
    (tmp_path / "value").write_text(f"{value}\n", encoding="utf-8")
    from_file = load_settings({f"{name}_FILE": str(tmp_path / "value")})
    assert from_file == load_settings({name: value})
    assert from_file != load_settings({})


@pytest.mark.parametrize("name", variable_names())
def test_variable_and_twin_together_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: SECRET, f"{name}_FILE": str(tmp_path / "value")})
    assert caught.value.message == f"environment: both {name} and {name}_FILE are set; keep one"
    assert caught.value.exit_code == 3


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigurationError, match=f"DATABASE_URL_FILE={missing}: No such file or directory"):
        load_settings({"DATABASE_URL_FILE": str(missing)})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="binary: not UTF-8 text"):
        load_settings({"DATABASE_URL_FILE": str(tmp_path / "binary")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KASPARRO_PORT", "hunter2"), ("KASPARRO_PORT", "65536"), ("KASPARRO_PORT", "0"), ("LOG_LEVEL", "hunter2"),
        ("KASPARRO_BATCH_RECORDS", "0"), ("KASPARRO_BATCH_RECORDS", "hunter2"), ("KASPARRO_ENVIRONMENT", "hunter2"),
    ],
)  # fmt: skip
def test_bad_value_is_refused_by_the_name_of_its_variable_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value, "DATABASE_URL": SECRET})
    assert caught.value.message.startswith(f"environment: {name}: ")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"LOG_LEVEL: .*; KASPARRO_PORT: "):
        load_settings({"KASPARRO_PORT": "x", "LOG_LEVEL": "x"})


def test_secrets_do_not_show_in_a_repr() -> None:
    settings = load_settings({"DATABASE_URL": SECRET})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == SECRET
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings({}).port = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("KASPARRO_PORT", "eight", "must be a whole number"),
        ("KASPARRO_PORT", "70000", "must be less than or equal to 65535"),
        ("LOG_LEVEL", "loud", "must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("ETL_INTERVAL_MINUTES", "often", "must be a number"),
        ("ETL_INTERVAL_MINUTES", "inf", "must be a number"),
        ("KASPARRO_READ_KEY_REQUIRED", "maybe", "must be true or false"),
        ("KASPARRO_CONTACT", "\t", "must be 1 to 200 printable ASCII characters"),
        ("KASPARRO_CORS_ORIGINS", "*", "* would let every page read the API; list the origins that may"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(name: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: value})
    assert caught.value.message == f"environment: {name}: {reason}"
