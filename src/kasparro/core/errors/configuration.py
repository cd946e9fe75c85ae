"""Refuse to start: the configuration or the environment is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from kasparro.core.errors.base import EXIT_CONFIGURATION, KasparroError


class ConfigurationError(KasparroError):
    """The configuration or an environment variable is wrong; the message names file, line and field."""

    code = "configuration"
    http_status = 422
    exit_code = EXIT_CONFIGURATION


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One thing wrong in the configuration file; line and column count from 1."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.field + ': ' if self.field else ''}{self.message}"


class InvalidConfigurationError(ConfigurationError):
    """The configuration file has problems: all of them, in the order of their lines."""

    code = "invalid_configuration"

    def __init__(self, problems: Sequence[ConfigurationProblem], *, hint: str | None = None) -> None:
        variables = any("environment variable" in problem.message for problem in problems)
        hint = hint or ("set it in the environment, or in .env by a line NAME=value" if variables else None)
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = tuple(problems)


class IdentityChangedError(ConfigurationError):
    """A source's `type` or `key` was changed although it has data."""

    code = "identity_changed"
    http_status = 409
