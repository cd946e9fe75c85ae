"""The file of `NAME=value` lines that every command reads before anything else, usually called `.env`."""

import os
from pathlib import Path
from typing import Final

from kasparro.core.errors import ConfigurationError

VARIABLE: Final = "KASPARRO_ENV_FILE"
NAME: Final = ".env"


def read_env_file(config: Path | None) -> None:
    """Put into the environment what the file sets and the environment does not.

    The file is the one that KASPARRO_ENV_FILE names; else `.env` beside the configuration file (`config`, as `--config`
    names it, else KASPARRO_CONFIG); else, where there is none, `.env` in the current folder. Never two of them, so that
    no variable of one place is mixed with those of another. Raises ConfigurationError.
    """
    path = _find(config)
    if path is None:
        return
    from dotenv import load_dotenv

    try:
        load_dotenv(path, override=False, interpolate=False, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None


def _find(config: Path | None) -> Path | None:
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).exists():
            raise ConfigurationError(f"environment: {VARIABLE}={named}: there is no such file")
        return Path(named) if Path(named).is_file() else None
    beside = (config or Path(os.environ.get("KASPARRO_CONFIG") or NAME)).expanduser().parent / NAME
    return next((path for path in (beside, Path(NAME)) if path.is_file()), None)
