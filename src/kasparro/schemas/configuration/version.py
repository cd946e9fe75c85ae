"""The `version:` of a source: what tells which of two states of a record is the newer one."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field

from kasparro.schemas.configuration.expressions import JsonPath, path_names
from kasparro.schemas.configuration.strict import Strict

VersionKind = Literal["time", "number", "text"]
Place = TypeVar("Place", bound=str)


class Version(Strict, Generic[Place]):
    """Both kinds."""

    field: Place
    """The column, or the path to the value, such as `updated_at` or `meta.revision`."""
    type: VersionKind = "time"
    """How versions are compared: as times (ISO 8601), as exact numbers (of 38 digits before the point, and 38 behind
    it), or as texts, character by character."""


def _spelled_out(value: object) -> object:
    return {"field": value} if isinstance(value, str) else value


class ColumnVersion(Version[Annotated[str, Field(min_length=1)]]):
    """What tells which of two states of a record is the newer one. A name alone stands for a column of times."""


class PathVersion(Version[JsonPath]):
    """What tells which of two states of a record is the newer one. A path alone stands for a path to times."""


VersionColumn = Annotated[ColumnVersion, BeforeValidator(_spelled_out, json_schema_input_type=str | ColumnVersion)]
VersionPath = Annotated[PathVersion, BeforeValidator(_spelled_out, json_schema_input_type=str | PathVersion)]


def require_counted(version: Version[str] | None, ignore: tuple[str, ...], *, is_path: bool) -> None:
    """Raises ValueError when the version is ignored: then records with another version would count as unchanged."""
    if version is None or not ignore:
        return
    names = path_names(version.field) if is_path else (version.field,)
    if names is None:
        raise ValueError("version.field must be a plain path where there is ignore")
    for path in ignore:
        parts = tuple(path.split(".")) if is_path else (path,)
        if path == version.field or names[: len(parts)] == parts:
            raise ValueError(f'ignore names "{path}", which holds the version')
