"""The configuration's secrets, for commands that show what is stored and would not read the configuration otherwise."""

import os

from kasparro.cli.frame import Context
from kasparro.core.errors import ConfigurationError


def know_secrets(context: Context) -> None:
    """Have the secrets of the configuration masked in all that is shown from now on; say so where it cannot be read.

    A payload is stored as it came: a server may have put into it what it was sent.
    """
    from kasparro.ingestion.http.secrecy import Secrecy
    from kasparro.schemas.configuration import CsvSourceConfig, load_configuration
    from kasparro.schemas.configuration.secrets import secret_values

    try:
        configured = load_configuration(context.config_path, os.environ).sources
    except ConfigurationError:
        context.note(f"{context.config_path} cannot be read: secrets in payloads are shown as they are")
        return
    for source in configured:
        if not isinstance(source, CsvSourceConfig):
            Secrecy(secret_values(source), source.headers)
