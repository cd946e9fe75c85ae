"""Which of libpq's parameters are honoured, which values of the others change nothing, and which are refused."""

from typing import Final

HONOURED: Final = frozenset(
    {
        "host", "port", "dbname", "user", "password", "passfile", "connect_timeout", "options", "application_name",
        "fallback_application_name", "target_session_attrs", "sslmode", "sslrootcert", "sslcert", "sslkey",
        "sslpassword", "sslcrl", "sslnegotiation",
    }
)  # fmt: skip

ALLOWED: Final = {
    "client_encoding": frozenset({"utf8", "utf-8", "UTF8", "UTF-8", "auto"}),
    "channel_binding": frozenset({"disable", "prefer"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "keepalives": frozenset({"1"}),
    "load_balance_hosts": frozenset({"disable"}),
    "sslcompression": frozenset({"0"}),
    "sslsni": frozenset({"1"}),
    "ssl_min_protocol_version": frozenset({"TLSv1.2"}),
}
"""Values that are what happens anyway; any other is refused."""

UNSUPPORTED: Final = {
    "service": "write its parameters into the URL",
    "servicefile": "write the service's parameters into the URL",
    "hostaddr": "put the address into host",
    "channel_binding": "the driver has none; remove it, and use sslmode=verify-full against forged servers",
    "require_auth": "remove it",
    "requiressl": "use sslmode=require",
    "sslcrldir": "use sslcrl",
    "load_balance_hosts": "put the hosts into the order in which they shall be tried",
    "replication": "remove it",
    **dict.fromkeys(
        (
            "client_encoding", "gssencmode", "gssdelegation", "gsslib", "krbsrvname", "keepalives", "keepalives_idle",
            "keepalives_interval", "keepalives_count", "tcp_user_timeout", "requirepeer", "sslcertmode",
            "sslcompression", "sslkeylogfile", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version",
            "min_protocol_version", "max_protocol_version", "scram_client_key", "scram_server_key", "oauth_issuer",
            "oauth_client_id", "oauth_client_secret", "oauth_scope",
        ),
        "remove it",
    ),
}  # fmt: skip
"""Parameters that libpq knows and the driver has no equal for, and what to do instead."""

VARIABLES: Final = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGREQUIREAUTH": "require_auth",
    "PGCHANNELBINDING": "channel_binding",
    "PGSERVICE": "service",
    "PGOPTIONS": "options",
    "PGAPPNAME": "application_name",
    "PGSSLMODE": "sslmode",
    "PGREQUIRESSL": "requiressl",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGSSLCOMPRESSION": "sslcompression",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCERTMODE": "sslcertmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLCRLDIR": "sslcrldir",
    "PGSSLSNI": "sslsni",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGREQUIREPEER": "requirepeer",
    "PGGSSENCMODE": "gssencmode",
    "PGGSSDELEGATION": "gssdelegation",
    "PGGSSLIB": "gsslib",
    "PGKRBSRVNAME": "krbsrvname",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGCLIENTENCODING": "client_encoding",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
    "PGMINPROTOCOLVERSION": "min_protocol_version",
    "PGMAXPROTOCOLVERSION": "max_protocol_version",
}
"""https://www.postgresql.org/docs/current/libpq-envars.html; PGTZ, PGDATESTYLE and PGGEQO do not concern kasparro."""
