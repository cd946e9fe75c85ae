"""How a record is written: the SQL that makes its JSON, or the texts of its cells."""

from collections.abc import Sequence
from typing import Final

from kasparro.services.data.columns import COLUMNS, Field
from kasparro.services.data.conditions import attribute_text
from kasparro.services.data.statement import Parameters

RECORD_COLUMNS: Final = ", ".join(f"{column.json} as {column.name}" for column in COLUMNS.values())
"""All columns of `u` and `s`, each as JSON shows it."""
WHOLE_RECORD: Final = f"(select row_to_json(shown)::text from (select {RECORD_COLUMNS}) shown)"  # noqa: S608
"""The JSON of all columns of `u` and `s`."""


def json_of(fields: Sequence[Field] | None, parameters: Parameters) -> str:
    """An expression for a record's JSON; a value inside `attributes` stands under its name as asked for."""
    if fields is None:
        return WHOLE_RECORD
    members = [member for field in fields for member in _member(field, parameters)]
    return f"json_build_object({', '.join(members)})::text"


def cells_of(fields: Sequence[Field] | None, parameters: Parameters) -> str:
    """An expression for a list of texts, one for each field; null is a value that is missing."""
    if fields is None:
        return f"array[{', '.join(column.cell for column in COLUMNS.values())}]::text[]"
    return f"array[{', '.join(_cell(field, parameters) for field in fields)}]::text[]"


def _member(field: Field, parameters: Parameters) -> tuple[str, str]:
    if not field.path:
        return f"'{field.column.name}'", field.column.json
    path = parameters.add(list(field.path))
    return f"{parameters.add(field.name)}::text", f"u.attributes #> {path}::text[]"


def _cell(field: Field, parameters: Parameters) -> str:
    return attribute_text(parameters.add(list(field.path))) if field.path else field.column.cell
