"""Alembic's entry: runs on the connection that `services/migrations.py` hands over, in one transaction."""

import re

from alembic import context
from sqlalchemy import Connection

from kasparro.schemas.tables import metadata

_PARTITION = re.compile(r"raw_(api|csv|rss)_data_(default|y\d{4}m\d{2})")


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions are made at run time and belong to no migration."""
    return kind != "table" or name is None or _PARTITION.fullmatch(name) is None


def _run() -> None:
    connection = context.config.attributes["connection"]
    assert isinstance(connection, Connection)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=_is_ours,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
