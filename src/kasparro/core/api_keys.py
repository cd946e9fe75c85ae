"""What a key of the API looks like: `ksp_<id>_<secret>`, of whose secret only the SHA-256 is ever kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

Scope = Literal["read", "operate", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "operate", "admin")
"""Each includes those before it."""
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"ksp_(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """What of a key is looked up, and what is compared."""

    id: str
    secret_sha256: bytes


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: `text` is for its holder alone, the rest is kept."""

    text: str = field(repr=False)
    id: str
    secret_sha256: bytes


def make_key() -> NewKey:
    """A key with a secret of 256 random bits."""
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_bytes(_SECRET_BYTES)
    return NewKey(f"ksp_{key_id}_{secret.hex()}", key_id, hashlib.sha256(secret).digest())


def read_key(text: str) -> PresentedKey | None:
    """The parts of a key; None for what no key looks like."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    return PresentedKey(match["id"], hashlib.sha256(bytes.fromhex(match["secret"])).digest())


def scopes_of(granted: list[str]) -> frozenset[str]:
    """The granted scopes and all that they include; what is no scope grants nothing."""
    highest = max((SCOPES.index(scope) for scope in SCOPES if scope in granted), default=-1)
    return frozenset(SCOPES[: highest + 1])
