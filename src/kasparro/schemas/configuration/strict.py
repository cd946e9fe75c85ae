"""The root of all models of the configuration."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen, and without room for a field that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)
