"""The server's settings, written anew at each start so that a newer kasparro brings its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kasparro.core.embedded.layout import PORT, Layout
from kasparro.core.server_settings import RECOMMENDED

CUSTOM: Final = "custom.conf"
_HEADER: Final = f"""\
# Written by kasparro at each start of the server: changes are lost. Put your own settings into {CUSTOM} beside it.
"""
_SETTINGS: Final = {
    **{each.name: each.value for each in RECOMMENDED},
    # who may come in: the user whose folder it is, by socket
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    # loads (measured: docs/decisions/0014-server-settings.md)
    "wal_compression": "off",  # pglz is what the binaries have: it costs more time than the bytes it saves
    # queries
    "work_mem": "16MB",  # a sort of some 50,000 records stays in memory; lanes ask for more
    "maintenance_work_mem": "128MB",  # vacuum reads each index once for some twenty million dead rows
    "random_page_cost": "1.1",  # on an SSD, or in memory, any page is as near as the next one
    "jit": "off",  # compiling takes longer than our statements do
    # times are stored and written in UTC
    "timezone": "UTC",
    "log_timezone": "UTC",
    # the log holds a week and never a payload: neither statements nor details of errors are written to it
    "logging_collector": "on",
    "log_filename": "server-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_checkpoints": "off",
    "log_startup_progress_interval": "1s",  # `kasparro up` shows how far a recovery is
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def write_configuration(layout: Layout, extra: Mapping[str, str]) -> None:
    """Write postgresql.conf; the user's `custom.conf` wins over it, and `extra` over both."""
    paths = {"log_directory": str(layout.logs), "unix_socket_directories": _socket_folder(layout.sockets)}
    lines = [_HEADER, *map(_line, {**_SETTINGS, **paths}.items()), f"include_if_exists = '{CUSTOM}'\n"]
    lines += map(_line, extra.items())
    layout.configuration.write_text("".join(lines), encoding="utf-8")
    layout.configuration.chmod(0o644)


def _line(setting: tuple[str, str]) -> str:
    name, value = setting
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{escaped}'\n"


def _socket_folder(path: Path) -> str:
    """An element of a list, where a comma or a space would separate."""
    escaped = str(path).replace('"', '""')
    return f'"{escaped}"'
