"""How the settings of the server in use differ from what kasparro wants of one."""

from dataclasses import dataclass

from kasparro.core.database import Connection
from kasparro.core.server_settings import RECOMMENDED, Recommendation

_READ = """
select name, setting, unit, current_setting(name) as shown, context = 'postmaster' as needs_restart
from pg_settings where name = any($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A setting that matters and is not as it should be; `shown` is its value as PostgreSQL writes it."""

    recommended: Recommendation
    shown: str
    needs_restart: bool


async def find_shortfalls(connection: Connection) -> list[Shortfall]:
    """What is to be set, what matters most first, as it stands for this role and database."""
    rows = await connection.fetch(_READ, [each.name for each in RECOMMENDED])
    found = {row["name"]: row for row in rows}
    return [
        Shortfall(each, row["shown"], row["needs_restart"])
        for each in RECOMMENDED
        if (row := found.get(each.name)) is not None and not each.is_met(row["setting"], row["unit"])
    ]
