"""libpq's URL forms become connection options; what cannot be honoured is named; no password shows anywhere."""

import stat
from pathlib import Path
from typing import Any

import pytest

from kasparro.core.database import ConnectionOptions, parse_url
from kasparro.core.database.tls import driver_tls
from kasparro.core.errors import DatabaseUrlError

SECRET = "hunter2"

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("postgresql://ann@db/shop", {"hosts": ("db",), "ports": (5432,), "user": "ann", "database": "shop"}),
    ("postgres://ann@db:6000/shop", {"ports": (6000,)}),
    ("postgresql+asyncpg://ann@db/shop?ssl=require", {"hosts": ("db",), "tls.mode": "require"}),
    ("postgresql://ann@db", {"database": "ann"}),
    ("postgresql://ann:hunter2@db/shop", {"password": "hunter2"}),
    ("postgresql://a%40b:p%2F%40%3A%25@db/my%20shop", {"user": "a@b", "password": "p/@:%", "database": "my shop"}),
    ("postgresql://ann:a+b@db/shop", {"password": "a+b"}),
    ("postgresql://ann:a#b@db/shop", {"password": "a#b", "hosts": ("db",)}),
    ("postgresql://ann@[::1]:5433/shop", {"hosts": ("::1",), "ports": (5433,)}),
    ("postgresql://ann@a:1,b:2,c/shop", {"hosts": ("a", "b", "c"), "ports": (1, 2, 5432)}),
    ("postgresql://ann@/shop?host=a,b&port=7", {"hosts": ("a", "b"), "ports": (7, 7)}),
    ("postgresql://ann@/shop?host=/run/db&port=5433", {"hosts": ("/run/db",), "ports": (5433,), "tls.mode": "disable"}),
    ("postgresql://ann@%2Frun%2Fdb/shop", {"hosts": ("/run/db",), "database": "shop"}),
    ("postgresql://ann@ignored/shop?host=/run/db", {"hosts": ("/run/db",)}),
    ("postgresql://ann@/shop", {"hosts": ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")}),
    ("postgresql:///?user=ann&dbname=shop&host=db&password=hunter2", {"user": "ann", "password": "hunter2"}),
    ("host=db user=ann dbname=shop", {"hosts": ("db",), "user": "ann", "database": "shop"}),
    (r"host = db  user='an\'n' password='a b\\c' ", {"user": "an'n", "password": r"a b\c"}),
    (r"host=db user=ann password=a\ b", {"password": "a b"}),
    ("postgresql://ann@db/shop?sslmode=disable", {"tls.mode": "disable"}),
    ("postgresql://ann@db/shop", {"tls.mode": "prefer"}),
    ("postgresql://ann@db/shop?ssl=true", {"tls.mode": "require"}),
    ("postgresql://ann@db/shop?sslrootcert=system", {"tls.mode": "verify-full", "tls.root_certificate": "system"}),
    ("postgresql://ann@db/shop?sslmode=verify-ca&sslrootcert=/ca.pem", {"tls.root_certificate": Path("/ca.pem")}),
    ("postgresql://ann@db/shop?sslmode=require&sslcert=/c&sslkey=/k", {"tls.certificate": Path("/c")}),
    ("postgresql://ann@db/shop?sslmode=require&sslnegotiation=direct", {"tls.direct": True}),
    ("postgresql://ann@db/shop?connect_timeout=10", {"connect_timeout_seconds": 10.0}),
    ("postgresql://ann@db/shop?connect_timeout=1", {"connect_timeout_seconds": 2.0}),
    ("postgresql://ann@db/shop?connect_timeout=0", {"connect_timeout_seconds": 86400.0}),
    ("postgresql://ann@db/shop?application_name=etl", {"application_name": "etl"}),
    ("postgresql://ann@db/shop?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
    (
        "postgresql://ann@db/shop?options=-c%20search_path=a,b%20--work-mem=4MB%20-cx.y=1%5C%202",
        {"server_settings": {"search_path": "a,b", "work_mem": "4MB", "x.y": "1 2"}},
    ),
    ("postgresql://ann@db/shop?client_encoding=utf8&gssencmode=disable", {"hosts": ("db",)}),
]

REFUSED = [
    ("mysql://ann@db/shop", "mysql"),
    ("postgresql+psycopg2://ann@db/shop", "psycopg2"),
    ("just words", "key=value"),
    ("host=db user='ann", "key=value"),
    ("postgresql://ann@db/shop?service=prod", "service"),
    ("postgresql://ann@db/shop?sslmode=verify", "sslmode"),
    ("postgresql://ann@db/shop?sslmod=require", "did you mean sslmode"),
    ("postgresql://ann@db/shop?hostaddr=10.0.0.1", "hostaddr"),
    ("postgresql://ann@db/shop?channel_binding=require", "channel_binding"),
    ("postgresql://ann@db/shop?client_encoding=latin1", "client_encoding"),
    ("postgresql://ann@db/shop?keepalives_idle=5", "keepalives_idle"),
    ("postgresql://ann@db/shop?sslcert=/c", "sslcert"),
    ("postgresql://ann@db/shop?sslrootcert=/c&sslmode=prefer", "sslrootcert"),
    ("postgresql://ann@db/shop?sslmode=require&sslrootcert=system", "sslrootcert"),
    ("postgresql://ann@db/shop?sslnegotiation=direct", "sslnegotiation"),
    ("postgresql://ann@db/shop?sslmode=require&sslnegotiation=odd", "sslnegotiation"),
    ("postgresql://ann@db/shop?connect_timeout=soon", "connect_timeout"),
    ("postgresql://ann@db/shop?target_session_attrs=any-at-all", "target_session_attrs"),
    ("postgresql://ann@db/shop?options=-d%205", "options"),
    ("postgresql://ann@db:99999/shop", "port"),
    ("postgresql://ann@/shop?host=a,b&port=1,2,3", "port"),
    ("postgresql://ann@/shop?host=@abstract", "host"),
    ("postgresql://ann@db/shop?sslmode", "name=value"),
    ("postgresql://ann@db/100%", "database name"),
    ("postgresql://ann@db/%ff", "UTF-8"),
    ("postgresql://ann@[::1/shop", "host list"),
    ("postgresql://ann:hunter2@x@db/shop", "@"),
    ("postgresql://ann:hunter2/x@db/shop", "@"),
    ("postgresql://ann:hunter2?x=y@db/shop", "@"),
    ("postgresql://ann:12@3/hunter2@db/shop", "@"),
    ("postgresql://db:hunter2/shop", "port"),
    ("postgresql://ann:hunter2@db/shop?passfile=/nowhere/at/all&nonsense=hunter2", "nonsense"),
]


def _flat(options: ConnectionOptions, name: str) -> object:
    if name == "password":
        return options.password.get_secret_value() if options.password else None
    head, _, rest = name.partition(".")
    return getattr(options.tls, rest) if head == "tls" else getattr(options, head)


@pytest.mark.parametrize(("url", "expected"), ACCEPTED)
def test_form_is_translated(url: str, expected: dict[str, Any]) -> None:
    options = parse_url(url, {})
    assert {name: _flat(options, name) for name in expected} == expected


@pytest.mark.parametrize(("url", "named"), REFUSED)
def test_what_cannot_be_honoured_is_named_without_the_password(url: str, named: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        parse_url(url, {})
    shown = f"{caught.value} {caught.value.hint}"
    assert named in shown
    assert SECRET not in shown


def test_password_shows_in_no_form_of_the_options() -> None:
    options = parse_url(f"postgresql://ann:{SECRET}@db/shop?sslmode=require&sslpassword={SECRET}", {})
    assert SECRET not in f"{options} {options!r} {options.tls!r}"


def test_environment_fills_what_the_url_leaves_out() -> None:
    environ = {"PGHOST": "a,b", "PGPORT": "7", "PGUSER": "ann", "PGDATABASE": "shop", "PGPASSWORD": SECRET}
    options = parse_url("postgresql://", {**environ, "PGSSLMODE": "require", "PGOPTIONS": "-c work_mem=1MB"})
    assert (options.hosts, options.ports, options.user, options.database) == (("a", "b"), (7, 7), "ann", "shop")
    assert (_flat(options, "password"), options.tls.mode) == (SECRET, "require")
    assert options.server_settings == {"work_mem": "1MB"}


def test_url_wins_over_the_environment() -> None:
    options = parse_url("postgresql://ann@db/shop?sslmode=disable", {"PGHOST": "other", "PGSSLMODE": "require"})
    assert (options.hosts, options.tls.mode) == (("db",), "disable")


def test_variable_at_fault_is_named() -> None:
    with pytest.raises(DatabaseUrlError, match="PGSERVICE: cannot be honoured"):
        parse_url("postgresql://ann@db/shop", {"PGSERVICE": "prod"})


def _write_passfile(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".pgpass"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_password_comes_from_the_password_file(tmp_path: Path) -> None:
    path = _write_passfile(tmp_path, "# a comment\nother:*:*:*:no\ndb:5432:sh\\:op:ann:hun\\:ter\\\\2\n*:*:*:*:last\n")
    wanted = "postgresql://ann@db/sh%3Aop"
    for url, environ in (
        (f"{wanted}?passfile={path}", {}),
        (wanted, {"PGPASSFILE": str(path)}),
        (wanted, {"HOME": str(tmp_path)}),
    ):
        assert _flat(parse_url(url, environ), "password") == "hun:ter\\2"


def test_socket_is_localhost_in_the_password_file(tmp_path: Path) -> None:
    path = _write_passfile(tmp_path, "localhost:5432:shop:ann:one\n")
    assert _flat(parse_url(f"host=/run/db user=ann dbname=shop passfile={path}", {}), "password") == "one"


def test_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = _write_passfile(tmp_path, f"*:*:*:*:{SECRET}\n", 0o640)
    with pytest.raises(DatabaseUrlError, match="others than its owner") as caught:
        parse_url("postgresql://ann@db/shop", {"PGPASSFILE": str(path)})
    assert caught.value.hint == f"chmod 600 {path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_hosts_with_different_passwords_are_refused(tmp_path: Path) -> None:
    path = _write_passfile(tmp_path, "a:*:*:*:one\nb:*:*:*:two\n")
    with pytest.raises(DatabaseUrlError, match="different passwords"):
        parse_url("postgresql://ann@a,b/shop", {"PGPASSFILE": str(path)})


def test_missing_password_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    assert parse_url("postgresql://ann@db/shop", {"HOME": str(tmp_path)}).password is None
    with pytest.raises(DatabaseUrlError, match="passfile"):
        parse_url(f"postgresql://ann@db/shop?passfile={tmp_path / 'gone'}", {})


def test_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = parse_url(f"postgresql://ann@db/shop?sslmode=verify-full&sslrootcert={tmp_path / 'gone.pem'}", {})
    with pytest.raises(DatabaseUrlError, match=r"sslrootcert: .*gone\.pem"):
        driver_tls(missing.tls)
    unreadable = parse_url(f"postgresql://ann@db/shop?sslmode=require&sslcert={tmp_path / 'gone.crt'}", {})
    with pytest.raises(DatabaseUrlError, match=r"sslcert, sslkey: .*gone\.crt"):
        driver_tls(unreadable.tls)


def test_verification_needs_a_root_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DatabaseUrlError, match="needs sslrootcert"):
        driver_tls(parse_url("postgresql://ann@db/shop?sslmode=verify-full", {}).tls)
