"""The query language of `GET /data` (docs/api.md): from a query string to a typed query, or to every mistake in it."""

from kasparro.api.query_language.described import DATA_PARAMETERS
from kasparro.api.query_language.filters import SOURCE_TYPES
from kasparro.api.query_language.parsing import Asked, Count, parse
from kasparro.api.query_language.preferences import preferred_count

__all__ = ["DATA_PARAMETERS", "SOURCE_TYPES", "Asked", "Count", "parse", "preferred_count"]
