"""The environment, read once at the top into a frozen object; below, functions receive the values they need.

Every variable has a `*_FILE` twin that names a file with the value (mounted secrets); naming both is an error.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from kasparro.core.address import numeric
from kasparro.core.errors import ConfigurationError
from kasparro.core.limits import MOST_LANES
from kasparro.core.log_levels import checked_levels
from kasparro.core.trust import checked_hosts, checked_origins, checked_proxies

DEFAULT_CONFIG_NAME = "kasparro.yaml"
DEFAULT_HOME_NAME = ".kasparro"
_LANES_UNASKED = 8
_REASONS: Final = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be 1 to 200 printable ASCII characters",
}


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseModel):
    """What the environment decides. Field aliases are the variables' names."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    database_url: Annotated[SecretStr | None, Field(alias="DATABASE_URL")] = None
    """PostgreSQL 15 or newer, as libpq writes it: `postgresql://user@host/database`. Unset: the embedded server."""
    api_key: Annotated[SecretStr | None, Field(alias="API_KEY")] = None
    """The key of the API that the configuration writes as `${API_KEY}`; `kasparro demo` asks for it."""
    etl_interval_minutes: Annotated[
        float, Field(alias="ETL_INTERVAL_MINUTES", gt=0, le=10_080, allow_inf_nan=False)
    ] = 5
    """How often the scheduler reads a source that has no `schedule:` of its own, in minutes."""
    contact: Annotated[str | None, Field(alias="KASPARRO_CONTACT", pattern=r"^[\x20-\x7e]{1,200}$")] = None
    """A URL or mail address by which servers that are read from can reach whoever runs this; sent in `User-Agent`."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Field(alias="LOG_LEVEL")] = "INFO"
    """Log lines at this level and above: `DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`. Unset: `INFO`, but `WARNING`
    for commands that show their progress on a terminal."""
    log_levels: Annotated[str | None, AfterValidator(checked_levels), Field(alias="KASPARRO_LOG_LEVELS")] = None
    """Levels of single modules, separated by commas, which win over `LOG_LEVEL` for them and what is below them:
    `kasparro.ingestion.http=DEBUG,kasparro.api=WARNING`. Libraries such as `granian` can be named too."""
    config_path: Annotated[AbsolutePath, Field(alias="KASPARRO_CONFIG", validate_default=True)] = Path(
        DEFAULT_CONFIG_NAME
    )
    """The configuration file; `--config` wins."""
    home: Annotated[AbsolutePath, Field(alias="KASPARRO_HOME", validate_default=True)] = Path(DEFAULT_HOME_NAME)
    """Where the embedded PostgreSQL's data, process ids and logs of the background processes live; unset: `.kasparro`
    beside the configuration file. Run as root, where PostgreSQL's own user cannot reach that folder, the data is below
    `/var/lib/kasparro` instead (`kasparro status` shows it)."""
    env_file: Annotated[Path, Field(alias="KASPARRO_ENV_FILE")] = Path(".env")
    """A file of `NAME=value` lines that every command reads first; what the environment sets already wins. Unset:
    `.env` beside the configuration file, or, only where there is none, `.env` in the current folder. Paths in it are
    relative to the current folder."""
    demo_port: Annotated[int, Field(alias="KASPARRO_DEMO_PORT", ge=1, le=65535)] = 8010
    """The demo upstream's port; `kasparro up` starts it when a source is configured to read from there on 127.0.0.1."""
    demo_host: Annotated[str, Field(alias="KASPARRO_DEMO_HOST", min_length=1)] = "127.0.0.1"
    """Where the sources that are shipped look for the demo upstream; `kasparro up` starts one of its own on 127.0.0.1
    only."""
    host: Annotated[str, AfterValidator(numeric), Field(alias="KASPARRO_HOST")] = "127.0.0.1"
    """Where the API listens. Another address than loopback needs `KASPARRO_READ_KEY_REQUIRED` to be set."""
    port: Annotated[int, Field(alias="KASPARRO_PORT", ge=1, le=65535)] = 8000
    """The API's port."""
    read_key_required: Annotated[bool | None, Field(alias="KASPARRO_READ_KEY_REQUIRED")] = None
    """Whether reading needs a key (`true` or `false`). Unset: not on loopback; another address is only bound
    once this is set by hand."""
    allowed_hosts: Annotated[str | None, AfterValidator(checked_hosts), Field(alias="KASPARRO_ALLOWED_HOSTS")] = None
    """Names and addresses, separated by commas and without ports, under which the API may be asked (`Host`), such as
    `localhost,app.example.org`; `*`: any. Unset: names of loopback where reading is open because only this machine
    reaches the API, else any."""
    requests_per_minute: Annotated[int, Field(alias="KASPARRO_REQUESTS_PER_MINUTE", ge=0, le=1_000_000)] = 6000
    """How many requests a minute the API takes of each key, and of each address without one; 0: no limit."""
    api_connections: Annotated[int, Field(alias="KASPARRO_API_CONNECTIONS", ge=2, le=1000)] = 10
    """How many database connections the API opens at most."""
    cors_origins: Annotated[str | None, AfterValidator(checked_origins), Field(alias="KASPARRO_CORS_ORIGINS")] = None
    """Origins, separated by commas, whose pages may read the API in a browser, such as `https://app.example.org`."""
    trusted_proxies: Annotated[str | None, AfterValidator(checked_proxies), Field(alias="KASPARRO_TRUSTED_PROXIES")] = (
        None
    )
    """Addresses or networks, separated by commas, whose `X-Forwarded-For` says who is asking, such as `10.0.0.0/8`."""
    batch_records: Annotated[int, Field(alias="KASPARRO_BATCH_RECORDS", ge=1, le=100_000)] = 20_000
    """How many records a batch, and so a transaction, may hold; fewer take less memory and more time."""
    concurrency: Annotated[int | None, Field(alias="KASPARRO_CONCURRENCY", ge=1, le=MOST_LANES)] = None
    """How many lanes (connections that write at the same time) a run of a source has; `--concurrency` wins. Unset: one
    for each processor, eight at most. The result is the same for any number."""
    stop_grace_seconds: Annotated[float, Field(alias="KASPARRO_STOP_GRACE_SECONDS", ge=1, le=3600)] = 20
    """Within so many seconds after SIGTERM or SIGINT a process that runs sources has ended. Most of that is for the
    batch in hand; then it is given up, and read again by the next run. Docker must wait longer before it kills."""
    run_deadline_seconds: Annotated[
        float, Field(alias="KASPARRO_RUN_DEADLINE_SECONDS", gt=0, le=31_536_000, allow_inf_nan=False)
    ] = 86_400
    """How many seconds a run of a source may take that has no `deadline:` of its own; then it fails, and the next one
    goes on from its last committed batch."""
    inject: Annotated[str | None, Field(alias="KASPARRO_INJECT")] = None
    """Faults for runs of `kasparro run`, and the first ones of `kasparro up`, for tests: `POINT:KIND:N[@LANE]`, several
    separated by commas, such as `commit:kill:3@1`; refused in production. See `kasparro chaos`."""
    environment: Annotated[Literal["development", "production"], Field(alias="KASPARRO_ENVIRONMENT")] = "development"
    """`production` refuses injected faults."""

    @property
    def lanes(self) -> int:
        """`concurrency`, or what it is when unset."""
        return self.concurrency or min(_LANES_UNASKED, _processors())


def _processors() -> int:
    """How many this process may use; macOS and Windows cannot say, so there it is how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def variable_names() -> list[str]:
    """Names of all environment variables that are read, without their `*_FILE` twins."""
    return [str(field.alias) for field in Settings.model_fields.values()]


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from `environ` (default: the process's).

    Raises ConfigurationError naming the variable at fault; a value is never shown.
    """
    source = os.environ if environ is None else environ
    values = {name: value for name in variable_names() if (value := _read(source, name)) is not None}
    config_path = _absolute(Path(values.get("KASPARRO_CONFIG", DEFAULT_CONFIG_NAME)))
    values.setdefault("KASPARRO_HOME", str(config_path.parent / DEFAULT_HOME_NAME))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(f"{item['loc'][0]}: {_reason(item)}" for item in error.errors(include_input=False))
        raise ConfigurationError(f"environment: {reasons}") from None


def _reason(fault: ErrorDetails) -> str:
    """What is wrong with a value, in plain words and without the value."""
    if fault["type"] == "value_error":
        return str(fault.get("ctx", {})["error"])
    return _REASONS.get(fault["type"]) or re.sub(r"^\w+ should", "must", fault["msg"])


def _read(environ: Mapping[str, str], name: str) -> str | None:
    """The variable's value, from the environment or from the file its `_FILE` twin names; empty means unset."""
    value = environ.get(name) or None
    file_name = environ.get(f"{name}_FILE") or None
    if file_name is None:
        return value
    if value is not None:
        raise ConfigurationError(f"environment: both {name} and {name}_FILE are set; keep one")
    try:
        return Path(file_name).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise ConfigurationError(f"environment: {name}_FILE={file_name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"environment: {name}_FILE={file_name}: not UTF-8 text") from None
