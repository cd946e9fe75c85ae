"""Which sources a query is about: their ids are what `unified_data` is searched by."""

from collections.abc import Sequence
from typing import Final

from kasparro.core.database import Connection
from kasparro.services.data.conditions import source_condition
from kasparro.services.data.query import Filter
from kasparro.services.data.statement import Parameters

_IDS: Final = "select s.id from sources s where "
_NAMES: Final = "select name from sources order by name"


async def find_source_ids(connection: Connection, filters: Sequence[Filter]) -> list[int] | None:
    """Ids of the sources that satisfy all filters by `source` and `source_type`; None if there is no such filter."""
    wanted = [item for item in filters if item.field.column.kind == "source"]
    if not wanted:
        return None
    parameters = Parameters()
    conditions = " and ".join([source_condition(item, parameters) for item in wanted])
    return [row[0] for row in await connection.fetch(f"{_IDS}{conditions} order by s.id", *parameters.values)]


async def source_names(connection: Connection) -> list[str]:
    """Names of all sources that are known to the database."""
    return [row[0] for row in await connection.fetch(_NAMES)]
