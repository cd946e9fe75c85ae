"""Who is asking: the key in `Authorization: Bearer ksp_<id>_<secret>`, checked against the database.

A key that was found good is believed for `FRESH_SECONDS`, so that requests cost no question each; a revocation or an
expiry takes effect within that time. Only good keys are remembered: what is unknown costs nothing to keep.
"""

import hmac
import time
from dataclasses import dataclass
from typing import Final

from kasparro.api.asking import ANSWER_SECONDS, ask
from kasparro.core.api_keys import PresentedKey, read_key, scopes_of
from kasparro.core.database import Pool
from kasparro.core.errors import UnauthorizedError
from kasparro.services import keys

FRESH_SECONDS: Final = 5.0
REMEMBERED_KEYS: Final = 10_000
_NO_SECRET: Final = bytes(32)
INVALID_KEY: Final = "the key is not valid: it is malformed, unknown, expired or revoked"
"""One text for all of them: nobody learns from it which keys exist."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever presented a good key, and what it grants."""

    key_id: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Remembered:
    secret_sha256: bytes
    holder: KeyHolder
    checked_at: float


class KeyRing:
    """Checks keys against the database, and remembers good ones for a moment."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._remembered: dict[str, _Remembered] = {}

    def recall(self, key: PresentedKey) -> KeyHolder | None:
        """Its holder, if it was found good within the last `FRESH_SECONDS`."""
        known = self._remembered.get(key.id)
        if known is None or time.monotonic() - known.checked_at > FRESH_SECONDS or not _matches(known, key):
            return None
        return known.holder

    def was_good(self, key: PresentedKey) -> bool:
        """Whether it was good when it was last looked at: no guess, whatever has become of it since."""
        known = self._remembered.get(key.id)
        return known is not None and _matches(known, key)

    async def check(self, key: PresentedKey) -> KeyHolder:
        """Ask the database. Raises UnauthorizedError, and DatabaseError when it does not answer in time."""
        asked_at = time.monotonic()
        found = await ask(
            self._pool, lambda connection: keys.find_active(connection, key.id), timeout_seconds=ANSWER_SECONDS
        )
        expected = _NO_SECRET if found is None else found.secret_sha256
        if not hmac.compare_digest(expected, key.secret_sha256) or found is None:
            if found is None:
                self._remembered.pop(key.id, None)
            raise UnauthorizedError(INVALID_KEY, invalid=True)
        holder = KeyHolder(key.id, scopes_of(found.scopes))
        self._remember(key, holder, asked_at)
        return holder

    def _remember(self, key: PresentedKey, holder: KeyHolder, asked_at: float) -> None:
        self._remembered.pop(key.id, None)
        if len(self._remembered) >= REMEMBERED_KEYS:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key.id] = _Remembered(key.secret_sha256, holder, asked_at)


def read_authorization(headers: list[bytes]) -> PresentedKey | None:
    """The key in a request's Authorization header, the case of whose scheme does not matter (RFC 9110, 11.1).

    None for several such headers, another scheme, or what no key looks like.
    """
    scheme, _, credentials = headers[0].decode("latin-1").partition(" ")
    return read_key(credentials.strip(" ")) if len(headers) == 1 and scheme.lower() == "bearer" else None


def _matches(known: _Remembered, key: PresentedKey) -> bool:
    return hmac.compare_digest(known.secret_sha256, key.secret_sha256)
