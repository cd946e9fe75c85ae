"""Questions about unified records: a page of them, one of them, the payload behind one.

PostgreSQL writes each record's JSON, so rows never become Python objects. `columns` is the one list of what can be
asked for; `conditions` and `order` turn a query into constant SQL fragments with parameters; `pages` and `items` ask.
"""

from kasparro.services.data.columns import COLUMNS, Column, Field, Kind
from kasparro.services.data.items import read_raw, read_record
from kasparro.services.data.pages import RecordPage, count_records, read_page
from kasparro.services.data.query import DataQuery, Filter, Operator, SortKey, Total
from kasparro.services.data.sources import find_source_ids, source_names

__all__ = [
    "COLUMNS",
    "Column",
    "DataQuery",
    "Field",
    "Filter",
    "Kind",
    "Operator",
    "RecordPage",
    "SortKey",
    "Total",
    "count_records",
    "find_source_ids",
    "read_page",
    "read_raw",
    "read_record",
    "source_names",
]
