"""What may be said about a source of type `rss`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from kasparro.schemas.configuration.base import OneOrMore, without_repeats
from kasparro.schemas.configuration.deletes import Deletes
from kasparro.schemas.configuration.entries import EntryMap, EntryMember, EntryPath, begins_with_member
from kasparro.schemas.configuration.strict import require_one
from kasparro.schemas.configuration.upstream import HttpSourceConfig, Size, Url


class RssSourceConfig(HttpSourceConfig):
    """A source of type `rss`: one feed or several, in RSS, RDF, Atom or JSON Feed, with one record an entry."""

    type: Literal["rss"]
    """What kind of source it is. Fixed once it has data."""
    max_body: Size = 16 * 1024 * 1024
    """The largest feed, as it comes and decompressed, such as `64MiB`; a larger one is an error."""
    url: Url | None = None
    """The feed."""
    urls: Annotated[tuple[Url, ...], Field(min_length=1), AfterValidator(without_repeats)] | None = None
    """The feeds, where there are several; read one after another, and independently of each other."""
    key: Annotated[tuple[EntryPath, ...], Field(min_length=1), AfterValidator(without_repeats), OneOrMore] | None = None
    """The path, or the list of paths, to the values that name an entry. When absent, entries are named by their guid
    (and link, where the feed repeats that guid), else by their link, else by the hash of title and content. Fixed once
    there is data."""
    identity: Literal["auto", "guid", "guid+link", "link", "content"] = "auto"
    """What names an entry where `key` does not. Fixed once there is data."""
    map: EntryMap | None = None
    """Which value of an entry becomes which field of the unified record. A field that is not mapped is filled with
    what the feed says for it: title, text, link, author, categories, date."""
    ignore: tuple[EntryMember, ...] = ()
    """Members (or paths) whose changes alone do not make an entry changed (they are stored all the same)."""

    @property
    def feeds(self) -> tuple[str, ...]:
        """All of its feeds."""
        return self.urls or ((self.url,) if self.url else ())

    @field_validator("where")
    @classmethod
    def _of_entries(cls, where: str | None) -> str | None:
        return where if where is None else begins_with_member(where)

    @field_validator("deletes")
    @classmethod
    def _by_tombstones(cls, deletes: Deletes | None) -> Deletes | None:
        if deletes is not None and deletes.snapshot:
            raise ValueError("a feed never holds every record: snapshot cannot be told of it")
        if deletes is not None and deletes.tombstone is not None:
            begins_with_member(deletes.tombstone)
        return deletes

    @model_validator(mode="after")
    def _either(self) -> Self:
        require_one(url=self.url, urls=self.urls)
        if self.key is not None and self.identity != "auto":
            raise ValueError("give key or identity, not both")
        return self
