"""The root of all house errors, and the exit codes."""

from typing import ClassVar

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 3
EXIT_SOURCE = 4
EXIT_DATABASE = 5
EXIT_REJECTS = 6
EXIT_SYSTEMIC = 7
EXIT_CONFLICT = 8
EXIT_DIFFERENCES = 9
EXIT_PAUSED = 75
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class KasparroError(Exception):
    """Root of all house errors. `hint` says what to do next, where there is something to do."""

    code: ClassVar[str] = "unexpected"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_UNEXPECTED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def about(self, source: str) -> str:
        """The message for where the source's name stands beside it: without `source NAME: ` at its beginning."""
        return self.message.removeprefix(f"source {source}: ")
