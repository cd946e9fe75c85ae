"""Cursors and settled states of a feed: a document has no position inside, only a hash of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self, cast

from kasparro.ingestion.http.contract import Validators
from kasparro.ingestion.source import Json
from kasparro.ingestion.sources.rss.entry import SCHEMA_VERSION
from kasparro.ingestion.sources.rss.options import IdentityPolicy


def document_hash(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()


def reading(policy: IdentityPolicy) -> str:
    """Changes when the same document would give other records."""
    return f"{SCHEMA_VERSION}:{policy}"


@dataclass(frozen=True, slots=True)
class Cursor:
    """`entries` of the document with this hash were read. `identity` is how they were told apart."""

    document: str
    entries: int
    identity: IdentityPolicy
    reading: str

    def to_json(self) -> Json:
        return {
            "document": self.document, "entries": self.entries, "identity": self.identity, "reading": self.reading
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """None for an object that this version did not write."""
        try:
            cursor = cls(value["document"], value["entries"], value["identity"], value["reading"])
        except (KeyError, TypeError):
            return None
        return cursor if isinstance(cast("object", cursor.entries), int) else None


@dataclass(frozen=True, slots=True)
class Settled:
    """What stands after a pass: the document's hash and validators, and what else is to be remembered of the feed."""

    document: str
    validators: Validators
    identity: IdentityPolicy
    reading: str
    ttl_minutes: int | None

    def to_json(self) -> Json:
        return {
            "document": self.document,
            "etag": self.validators.etag,
            "last_modified": self.validators.last_modified,
            "identity": self.identity,
            "reading": self.reading,
            "ttl_minutes": self.ttl_minutes,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object] | None) -> Self | None:
        """None where there is none, or one that this version did not write."""
        if value is None or not isinstance(value.get("document"), str) or not isinstance(value.get("reading"), str):
            return None
        texts = {name: text for name in ("etag", "last_modified") if isinstance(text := value.get(name), str)}
        minutes = value.get("ttl_minutes")
        return cls(
            str(value["document"]),
            Validators(**texts),
            cast("IdentityPolicy", value.get("identity", "auto")),
            str(value["reading"]),
            minutes if isinstance(minutes, int) else None,
        )
