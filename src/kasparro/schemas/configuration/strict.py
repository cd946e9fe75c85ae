"""The root of all models of the configuration, and what many of them check."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen, and without room for a field that nobody reads. What a field is for is said below it (`descriptions`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


def require_one(**fields: object) -> None:
    """Raises ValueError unless one of two fields is given, and the other is None."""
    given = [name for name, value in fields.items() if value is not None]
    if not given:
        raise ValueError(f"needs either {' or '.join(fields)}")
    if len(given) > 1:
        raise ValueError(f"give {' or '.join(fields)}, not both")
