"""Connections to PostgreSQL: URL forms, opening, pools, and the translation of driver errors."""

from kasparro.core.database.connection import Connection, Pool, connect, create_pool, may_heal, wait_until_ready
from kasparro.core.database.options import ConnectionOptions, Tls
from kasparro.core.database.resolution import resolve
from kasparro.core.database.translation import house_errors, translate
from kasparro.core.database.url import parse_url

__all__ = [
    "Connection",
    "ConnectionOptions",
    "Pool",
    "Tls",
    "connect",
    "create_pool",
    "house_errors",
    "may_heal",
    "parse_url",
    "resolve",
    "translate",
    "wait_until_ready",
]
