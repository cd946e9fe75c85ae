"""Cursors and settled states of a feed: a document has no position inside, only a hash of the whole."""

from collections.abc import Mapping, Sequence
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
class Known:
    """How a feed's entries are told apart: the policy, and hashes of the guids that it was seen to repeat.

    State in its first form has no hashes, and `guid+link` under the policy `auto` for a feed that repeated any guid:
    such a feed stays at that, so that its keys do not change.
    """

    identity: IdentityPolicy
    repeated: Sequence[str] = ()

    def to_json(self) -> Json:
        return {"identity": self.identity, "repeated": list(self.repeated)}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        hashes = value.get("repeated")
        repeated = [str(each) for each in cast("list[object]", hashes)] if isinstance(hashes, list) else []
        return cls(cast("IdentityPolicy", value.get("identity", "auto")), repeated)


@dataclass(frozen=True, slots=True)
class Cursor:
    """`entries` of the document with this hash were read, told apart by what was known when the pass began."""

    document: str
    entries: int
    known: Known
    reading: str

    def to_json(self) -> Json:
        return {"document": self.document, "entries": self.entries, "reading": self.reading, **self.known.to_json()}

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """None for an object that this version did not write."""
        try:
            cursor = cls(value["document"], value["entries"], Known.from_json(value), value["reading"])
        except (KeyError, TypeError):
            return None
        return cursor if isinstance(cast("object", cursor.entries), int) else None


@dataclass(frozen=True, slots=True)
class Settled:
    """What stands after a pass: the document's hash and validators, and what else is to be remembered of the feed."""

    document: str
    validators: Validators
    known: Known
    reading: str
    ttl_minutes: int | None

    def to_json(self) -> Json:
        return {
            "document": self.document,
            "etag": self.validators.etag,
            "last_modified": self.validators.last_modified,
            "reading": self.reading,
            "ttl_minutes": self.ttl_minutes,
            **self.known.to_json(),
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
            Known.from_json(value),
            str(value["reading"]),
            minutes if isinstance(minutes, int) else None,
        )
