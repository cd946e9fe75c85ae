"""Builds what the driver's `ssl` parameter takes from libpq's words."""

import ssl
from pathlib import Path
from typing import Literal

from kasparro.core.database.options import Tls
from kasparro.core.errors import DatabaseUrlError


def driver_tls(tls: Tls) -> ssl.SSLContext | Literal["allow", "prefer", False]:
    """A context where TLS is certain, else the driver's own word. Raises DatabaseUrlError naming a file at fault."""
    match tls.mode:
        case "disable":
            return False
        case "allow" | "prefer" as word:
            return word
        case _:
            pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = tls.mode == "verify-full"
    _trust(context, tls)
    _identify(context, tls)
    return context


def _trust(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.root_certificate == "system":
        context.load_default_certs()
    else:
        root = tls.root_certificate or _default("root.crt")
        if root is not None:
            _load_roots(context, "sslrootcert", root)
        elif tls.mode == "require":
            context.verify_mode = ssl.CERT_NONE
        else:
            raise DatabaseUrlError(f"DATABASE_URL: sslmode={tls.mode} needs sslrootcert", hint="or sslrootcert=system")
    revoked = tls.revocation_list or _default("root.crl")
    if revoked is not None and context.verify_mode != ssl.CERT_NONE:
        _load_roots(context, "sslcrl", revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_roots(context: ssl.SSLContext, parameter: str, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise DatabaseUrlError(f"DATABASE_URL: {parameter}: {path}: {error.strerror or 'no certificate'}") from error


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    certificate = tls.certificate or _default("postgresql.crt")
    if certificate is None:
        return
    key = tls.key or _default("postgresql.key")
    password = tls.key_password.get_secret_value() if tls.key_password else ""
    try:
        context.load_cert_chain(certificate, key, lambda: password)
    except OSError as error:
        reason = error.strerror or "certificate and key cannot be read"
        raise DatabaseUrlError(f"DATABASE_URL: sslcert, sslkey: {certificate}, {key}: {reason}") from error


def _default(name: str) -> Path | None:
    """libpq's per-user file, if it is there."""
    try:
        path = Path.home() / ".postgresql" / name
    except RuntimeError:
        return None
    return path if path.exists() else None
