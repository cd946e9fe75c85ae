"""Which fields of its payloads a source's configuration reads, named as drift's profiles name them; and where it does.

A record must have the fields that are *needed*: without them a mapping gives NULL in the place of a good value. Where
a setting reads one of several (`not_null(magnitude, mag)`, `a || b`), none of them alone is needed; where a constant
stands in (`mag || '0'`), nothing is. Of what `deletes.tombstone` reads the same holds: without it, nobody can tell
whether a record is deleted, and `!active` deletes each. What `where`, `ignore` and `incremental.field` name is read and
not needed: a record without it is filtered, compared as a whole or read again, and overwrites nothing. Of what `where`
reads, drift counts the records that are filtered and lack it (drift/filtered.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from kasparro.ingestion.expression_paths import Reads, reads_column, reads_of
from kasparro.schemas.configuration import (
    AnySourceConfig,
    ApiSourceConfig,
    ConstantTarget,
    CsvSourceConfig,
    ExpressionTarget,
    RecordMap,
    RssSourceConfig,
)

Place = tuple[str | int, ...]
Form = Literal["column", "path", "expression", "member"]
_DEFAULTS: dict[str, tuple[str, ...]] = {
    "title": ("title",),
    "body": ("content[].value", "content[].type", "summary", "summary_type"),
    "url": ("link",),
    "author": ("authors[].name", "authors[].email"),
    "category": ("categories[].label", "categories[].term"),
    "tags": ("categories[].label", "categories[].term"),
    "occurred_at": ("published_parsed", "updated_parsed"),
    "attributes": ("feed.url", "feed.title", "guid", "updated_parsed", "language", "enclosures"),
}
"""What ingestion/sources/rss/fields.py takes of an entry for fields that are not mapped; an entry always has them."""


@dataclass(frozen=True, slots=True)
class Use:
    """One text of a source's configuration that reads payloads.

    `at` leads to it from the source as it is written: `("map", "tags", 1)`, `("version", "field")`. `form` says how it
    is read: a column's name, a path (any JMESPath), an expression, or the dotted name of a member (`ignore`).
    """

    at: Place
    text: str
    form: Form
    reads: Reads
    is_needed: bool = True

    @property
    def shown(self) -> str:
        """As messages name it: `map.tags[1]`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.at).removeprefix(".")


def mapped_paths(config: AnySourceConfig) -> frozenset[str]:
    """The fields that a record must have, each on its own."""
    return frozenset(path for group in needs(config) if len(group) == 1 for path in group)


def alternatives(config: AnySourceConfig) -> tuple[frozenset[str], ...]:
    """Of each of these sets of fields, of two or more, a record must have one."""
    return tuple(group for group in needs(config) if len(group) > 1)


def needs(config: AnySourceConfig) -> tuple[frozenset[str], ...]:
    """Of each of these sets of fields a record must have one, or a setting finds nothing."""
    found = [need for use in uses(config) if use.is_needed for need in use.reads.needs]
    return tuple(dict.fromkeys(found))


def tombstone_needs(config: AnySourceConfig) -> tuple[frozenset[str], ...]:
    """Of each of these sets of fields a record must have one to be taken for a deletion."""
    return _needs_at(config, ("deletes", "tombstone"))


def where_needs(config: AnySourceConfig) -> tuple[frozenset[str], ...]:
    """Of each of these sets of fields `where` reads one."""
    return _needs_at(config, ("where",))


def read_paths(config: AnySourceConfig) -> frozenset[str]:
    """All fields that are read, needed or not."""
    read = {path for use in uses(config) for path in use.reads.paths}
    if isinstance(config, RssSourceConfig):
        mapped = config.map.model_fields_set if config.map is not None else set[str]()
        read |= {path for name, paths in _DEFAULTS.items() if name not in mapped for path in paths}
    return frozenset(read)


def uses_of(config: AnySourceConfig, path: str) -> list[Use]:
    """The settings that read a field, or something in it."""
    within = (path + ".", path + "[]")
    return [use for use in uses(config) if any(each == path or each.startswith(within) for each in use.reads.paths)]


def uses(config: AnySourceConfig) -> list[Use]:
    """Every setting that reads payloads, in the order of the configuration's fields."""
    return [*_key_uses(config), *_map_uses(config), *_version_uses(config), *_other_uses(config)]


def _needs_at(config: AnySourceConfig, at: Place) -> tuple[frozenset[str], ...]:
    return tuple(need for use in _other_uses(config) if use.at == at for need in use.reads.needs)


def _key_uses(config: AnySourceConfig) -> Iterator[Use]:
    names, plain = list(config.key or ()), _form(config)
    is_one = isinstance(config.written.get("key"), str)
    for index, name in enumerate(names):
        yield _use(("key",) if is_one else ("key", index), name, plain)


def _map_uses(config: AnySourceConfig) -> Iterator[Use]:
    mapped: RecordMap[str] | None = config.map
    for name in type(mapped).model_fields if mapped is not None else ():
        target: object = getattr(mapped, name)
        if isinstance(target, tuple):
            for index, each in enumerate(cast("tuple[object, ...]", target)):
                yield from _target_uses(("map", name, index), each, _form(config))
        elif isinstance(target, dict):
            for attribute, each in cast("dict[str, object]", target).items():
                yield from _target_uses(("map", name, attribute), each, _form(config))
        elif not (name == "attributes" and target == "*"):
            yield from _target_uses(("map", name), target, _form(config))


def _target_uses(at: Place, target: object, plain: Form) -> Iterator[Use]:
    if isinstance(target, ExpressionTarget):
        yield _use((*at, "expr"), target.expr, "expression")
    elif isinstance(target, str) and not isinstance(target, ConstantTarget):
        yield _use(at, target, plain)


def _version_uses(config: AnySourceConfig) -> Iterator[Use]:
    version = None if isinstance(config, RssSourceConfig) else config.version
    if version is not None:
        is_one = isinstance(config.written.get("version"), str)
        yield _use(("version",) if is_one else ("version", "field"), version.field, _form(config))


def _other_uses(config: AnySourceConfig) -> Iterator[Use]:
    if isinstance(config, ApiSourceConfig) and config.incremental is not None:
        yield _use(("incremental", "field"), config.incremental.field, "path", is_needed=False)
    if config.where is not None:
        yield _use(("where",), config.where, "expression", is_needed=False)
    if config.deletes is not None and config.deletes.tombstone is not None:
        yield _use(("deletes", "tombstone"), config.deletes.tombstone, "expression")
    for index, name in enumerate(config.ignore):
        form: Form = "column" if isinstance(config, CsvSourceConfig) else "member"
        yield _use(("ignore", index), name, form, is_needed=False)


def _form(config: AnySourceConfig) -> Form:
    return "column" if isinstance(config, CsvSourceConfig) else "path"


def _use(at: Place, text: str, form: Form, *, is_needed: bool = True) -> Use:
    return Use(at, text, form, _reads(text, form), is_needed)


def _reads(text: str, form: Form) -> Reads:
    if form == "column":
        return reads_column(text)
    if form == "member":
        return Reads(frozenset((text,)), (frozenset((text,)),))
    return reads_of(text)
