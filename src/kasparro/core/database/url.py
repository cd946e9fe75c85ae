"""Turns `DATABASE_URL` and libpq's PG* variables into ConnectionOptions, or says which parameter cannot be honoured.

No message shows a value of the URL, so no password can slip into one.
"""

import difflib
import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from pydantic import SecretStr

from kasparro.core.database.conninfo import split
from kasparro.core.database.options import (
    DEFAULT_CONNECT_TIMEOUT_SECONDS,
    DEFAULT_PORT,
    ConnectionOptions,
    SessionAttributes,
    SslMode,
    Tls,
)
from kasparro.core.database.parameters import ALLOWED, HONOURED, UNSUPPORTED, VARIABLES
from kasparro.core.database.passfile import read_password
from kasparro.core.errors import DatabaseUrlError

_DEFAULT_HOSTS: Final = ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")  # noqa: S108
_NO_TIMEOUT_SECONDS: Final = 86_400.0
_OPTION: Final = re.compile(r"\s*(?:-c\s*|--)(?P<name>[\w.-]+)=(?P<value>(?:\\.|[^\s\\])*)(?=\s|$)")


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A value and the name under which a user knows it: `DATABASE_URL: sslmode` or `PGSSLMODE`."""

    value: str
    origin: str

    def error(self, reason: str, *, hint: str | None = None) -> DatabaseUrlError:
        return DatabaseUrlError(f"{self.origin}: {reason}", hint=hint)


_Parameters = Mapping[str, _Parameter]


def parse_url(url: str, environ: Mapping[str, str]) -> ConnectionOptions:
    """Options for `url`, a postgresql:// URL or key=value pairs; what it leaves out comes from `environ` as in libpq.

    Raises DatabaseUrlError naming the parameter that is wrong or cannot be honoured.
    """
    given = {name: _Parameter(value, f"DATABASE_URL: {name}") for name, value in _without_aliases(split(url)).items()}
    inherited = {name: _Parameter(environ[key], key) for key, name in VARIABLES.items() if key in environ}
    parameters = {name: item for name, item in {**inherited, **given}.items() if item.value}
    _refuse_unsupported(parameters)
    hosts, ports = _addresses(parameters)
    user = _text(parameters, "user") or _system_user()
    database = _text(parameters, "dbname") or user
    wanted = [
        ("localhost" if host.startswith("/") else host, str(port), database, user)
        for host, port in zip(hosts, ports, strict=True)
    ]
    return ConnectionOptions(
        hosts=hosts,
        ports=ports,
        user=user,
        database=database,
        password=_password(parameters, environ, wanted),
        tls=_tls(parameters, sockets_only=all(host.startswith("/") for host in hosts)),
        connect_timeout_seconds=_timeout_seconds(parameters.get("connect_timeout")),
        target_session_attrs=_session_attributes(parameters.get("target_session_attrs")),
        application_name=_text(parameters, "application_name") or _text(parameters, "fallback_application_name"),
        server_settings=_server_settings(parameters.get("options")),
    )


def _without_aliases(given: Mapping[str, str]) -> dict[str, str]:
    """`ssl=true` is libpq's, `ssl=<sslmode>` SQLAlchemy's word for sslmode."""
    renamed = {("sslmode" if name == "ssl" else name): value for name, value in given.items()}
    if given.get("ssl") == "true":
        renamed["sslmode"] = "require"
    return renamed


def _refuse_unsupported(parameters: _Parameters) -> None:
    for name, parameter in parameters.items():
        if name in HONOURED or parameter.value in ALLOWED.get(name, ()):
            continue
        if name in UNSUPPORTED:
            raise parameter.error("cannot be honoured", hint=UNSUPPORTED[name])
        nearest = difflib.get_close_matches(name, HONOURED, n=1)
        raise parameter.error("unknown parameter", hint=f"did you mean {nearest[0]}?" if nearest else None)


def _addresses(parameters: _Parameters) -> tuple[tuple[str, ...], tuple[int, ...]]:
    host = parameters.get("host")
    hosts = tuple(host.value.split(",")) if host else _DEFAULT_HOSTS
    if host and any(not name or name.startswith("@") for name in hosts):
        raise host.error("an empty or abstract-socket host cannot be honoured", hint="name every host")
    ports = _ports(parameters.get("port"), len(hosts))
    return hosts, ports


def _ports(parameter: _Parameter | None, hosts: int) -> tuple[int, ...]:
    if parameter is None:
        return (DEFAULT_PORT,) * hosts
    texts = parameter.value.split(",")
    if len(texts) not in {1, hosts}:
        raise parameter.error(f"{len(texts)} ports for {hosts} hosts")
    if any(text and not _is_port(text) for text in texts):
        raise parameter.error("not a number from 1 to 65535", hint="percent-encode @ : / ? # % in user and password")
    ports = tuple(int(text) if text else DEFAULT_PORT for text in texts)
    return ports * hosts if len(ports) == 1 else ports


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535


def _text(parameters: _Parameters, name: str) -> str | None:
    parameter = parameters.get(name)
    return parameter.value if parameter else None


def _path(parameters: _Parameters, name: str) -> Path | None:
    text = _text(parameters, name)
    return Path(text) if text else None


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise DatabaseUrlError("DATABASE_URL: user: not given, and this process's user has no name") from None


def _password(
    parameters: _Parameters, environ: Mapping[str, str], wanted: list[tuple[str, str, str, str]]
) -> SecretStr | None:
    given = _text(parameters, "password")
    if given is not None:
        return SecretStr(given)
    path = _path(parameters, "passfile")
    if path is None:
        default = Path(environ["HOME"]) / ".pgpass" if environ.get("HOME") else None
        path = default if default is not None and default.exists() else None
    if path is None:
        return None
    found = {read_password(path, host) for host in wanted}
    if len(found) > 1:
        raise DatabaseUrlError(f"passfile {path}: the hosts have different passwords", hint="name one host only")
    password = found.pop()
    return None if password is None else SecretStr(password)


def _tls(parameters: _Parameters, *, sockets_only: bool) -> Tls:
    mode = _mode(parameters)
    negotiation = _text(parameters, "sslnegotiation") or "postgres"
    if negotiation not in {"postgres", "direct"}:
        raise parameters["sslnegotiation"].error("must be postgres or direct")
    if mode in {"allow", "prefer"} and not sockets_only:
        _refuse_without_effect(parameters, direct=negotiation == "direct")
    root = parameters.get("sslrootcert")
    if root and root.value == "system" and mode != "verify-full":
        raise root.error("system needs sslmode=verify-full")
    password = _text(parameters, "sslpassword")
    return Tls(
        mode="disable" if sockets_only else mode,
        root_certificate="system" if root and root.value == "system" else _path(parameters, "sslrootcert"),
        certificate=_path(parameters, "sslcert"),
        key=_path(parameters, "sslkey"),
        key_password=None if password is None else SecretStr(password),
        revocation_list=_path(parameters, "sslcrl"),
        direct=negotiation == "direct",
    )


def _mode(parameters: _Parameters) -> SslMode:
    parameter = parameters.get("sslmode")
    if parameter is None:
        return "verify-full" if _text(parameters, "sslrootcert") == "system" else "prefer"
    for mode in get_args(SslMode):
        if mode == parameter.value:
            return mode
    raise parameter.error(f"must be one of {', '.join(get_args(SslMode))}")


def _refuse_without_effect(parameters: _Parameters, *, direct: bool) -> None:
    """The driver takes certificates only where TLS is certain; ignoring them would be silent."""
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        if name in parameters:
            raise parameters[name].error("cannot be honoured unless TLS is required", hint="add sslmode=verify-full")
    if direct:
        raise parameters["sslnegotiation"].error("direct needs sslmode=require or stricter")


def _timeout_seconds(parameter: _Parameter | None) -> float:
    """Per host, in seconds; zero and negative mean no limit (here: a day), and 1 means 2, as in libpq."""
    if parameter is None:
        return DEFAULT_CONNECT_TIMEOUT_SECONDS
    if not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", parameter.value, re.ASCII):
        raise parameter.error("not a whole number of seconds")
    seconds = int(parameter.value)
    return _NO_TIMEOUT_SECONDS if seconds <= 0 else float(max(seconds, 2))


def _session_attributes(parameter: _Parameter | None) -> SessionAttributes:
    if parameter is None:
        return "any"
    for attributes in get_args(SessionAttributes):
        if attributes == parameter.value:
            return attributes
    raise parameter.error(f"must be one of {', '.join(get_args(SessionAttributes))}")


def _server_settings(parameter: _Parameter | None) -> dict[str, str]:
    """`-c name=value` and `--name=value`, backslash before a space that belongs to the value."""
    if parameter is None:
        return {}
    settings: dict[str, str] = {}
    position = 0
    end = len(parameter.value.rstrip())
    while position < end:
        option = _OPTION.match(parameter.value, position)
        if option is None:
            raise parameter.error("only settings of the form -c name=value can be honoured")
        settings[option["name"].replace("-", "_")] = re.sub(r"\\(.)", r"\1", option["value"])
        position = option.end()
    return settings
