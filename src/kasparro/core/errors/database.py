"""The database cannot be used, now or at all. A lost connection: start again from the database, never from memory."""

from kasparro.core.errors.base import EXIT_CONFIGURATION, EXIT_DATABASE, KasparroError


class DatabaseError(KasparroError):
    """The database cannot be used as it is."""

    code = "database"
    http_status = 503
    exit_code = EXIT_DATABASE


class DatabaseUrlError(DatabaseError):
    """`DATABASE_URL` is malformed or asks for something that cannot be honoured."""

    code = "database_url"
    exit_code = EXIT_CONFIGURATION


class DatabaseUnreachableError(DatabaseError):
    """No connection could be made, or the server refused it."""

    code = "database_unreachable"


class DatabaseStartingError(DatabaseUnreachableError):
    """The server is starting, recovering or shutting down, and says so: it will take connections again."""

    code = "database_starting"


class DatabaseVersionError(DatabaseError):
    """The server is older than the oldest PostgreSQL that is supported."""

    code = "database_version"


class DatabaseFullError(DatabaseError):
    """The server has no room left (disk, or connections)."""

    code = "database_full"


class TooManyConnectionsError(DatabaseFullError):
    """The server has no connection left for this role or database; others have to end first."""

    code = "too_many_connections"


class DatabaseReadOnlyError(DatabaseError):
    """The database takes no writes: it is a standby, has been demoted to one, or was made read-only."""

    code = "database_read_only"


class QueryTimeoutError(DatabaseError):
    """A statement took longer than it may: asked again it would take as long, so ask for less."""

    code = "query_timeout"
    http_status = 422


class MigrationsPendingError(DatabaseError):
    """The schema is older than the code: run `kasparro migrate`."""

    code = "migrations_pending"


class DatabaseNewerError(DatabaseError):
    """The schema was made by a newer kasparro than this one."""

    code = "database_newer"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL could not be set up, started or stopped."""

    code = "embedded_server"


class ConnectionLostError(DatabaseError):
    """A connection ended, or the outcome of a commit is unknown: nothing in memory may be trusted any more."""

    code = "connection_lost"


class ContentionError(DatabaseError):
    """A serialization failure, deadlock or lock time-out: the transaction wrote nothing and may be repeated."""

    code = "contention"
