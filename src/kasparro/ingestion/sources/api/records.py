"""From a parsed page to its raw records: where they stand, and what is wrong with a single one."""

from typing import Any, Final, cast

from kasparro.core.canonical import unstorable
from kasparro.core.errors import RecordsMissingError, SourceError
from kasparro.ingestion.source import Defect, Payload, SourceRecord
from kasparro.ingestion.sources.api.documents import Document, RepeatedNames, json_text, members
from kasparro.ingestion.sources.api.search import Search
from kasparro.schemas.readings import shown

_SHOWN_KEYS: Final = 20
_ESCAPED_BYTES: Final = ("\udc80", "\udcff")


def find_records(document: Document, path: Search | None, url: str) -> list[Any]:
    """The list at `path`; without one the document itself, or the one record that it is.

    An explicit null is an empty list. Raises RecordsMissingError that shows which keys there are, and SourceError for
    names that are repeated outside of records, where they may hide some.
    """
    value = document.value
    found: Any = value if path is None else path(value, url)
    if path is None and isinstance(value, dict):
        found = [value]
    if found is None and (path is None or not path.stands_in(value)):
        raise RecordsMissingError(f"{url}: no records at {path or 'the top'}; {_described(value)}")
    if found is None:
        found = []
    if not isinstance(found, list):
        raise RecordsMissingError(f"{url}: no list of records at {path or 'the top'}; {_described(found)}")
    items = cast("list[Any]", found)
    if items and not any(isinstance(item, dict) for item in items):
        raise RecordsMissingError(f"{url}: no objects in the list at {path or 'the top'}, but {_described(items[0])}")
    _refuse_hidden(document, items, url)
    return items


def raw_records(document: Document, items: list[Any], prefix: str) -> list[SourceRecord]:
    """A record for each item, with its defects; the locator of the n-th, from 1, is `prefix` and n."""
    locators = [f"{prefix}{number}" for number in range(1, len(items) + 1)]
    judge = _judged if document.repeating or document.undecodable else _plain
    if judge is _plain and set(map(type, items)) == {dict}:
        return list(map(SourceRecord, items, locators))
    return list(map(judge, items, locators))


def _plain(item: Any, locator: str) -> SourceRecord:
    if isinstance(item, dict):
        return SourceRecord(cast("Payload", item), locator)
    defect = Defect("not_an_object", f"a record must be an object, not {_described(item)}")
    return SourceRecord({"_value": item}, locator, (defect,))


def _judged(item: Any, locator: str) -> SourceRecord:
    repeating = next((each for each in members(item) if isinstance(each, RepeatedNames)), None)
    record = _plain(item, locator)
    if repeating is not None:
        name = repeating.repeated()
        defect = Defect("duplicate_keys", f'the name "{shown(name)}" stands more than once in an object', name)
        return SourceRecord(_as_it_came(item, record.payload), locator, (*record.defects, defect))
    if any(isinstance(each, str) and _has_escaped_bytes(each) for each in members(item)):
        defect = Defect("bad_encoding", "holds bytes that are not UTF-8")
        return SourceRecord(record.payload, locator, (*record.defects, defect))
    return record


def _as_it_came(item: Any, payload: Payload) -> Payload:
    try:
        return unstorable(json_text(item).encode())
    except RecursionError:
        return payload  # nested too deep for jsonb anyway, and rejected for that as well


def _has_escaped_bytes(text: str) -> bool:
    return any(_ESCAPED_BYTES[0] <= character <= _ESCAPED_BYTES[1] for character in text)


def _refuse_hidden(document: Document, items: list[Any], url: str) -> None:
    """Of two lists under one name the parser shows the last: the records of the other would be lost."""
    if not document.repeating:
        return
    within = {id(each) for each in members(items)}
    for each in document.repeating:
        if id(each) not in within:
            raise SourceError(f'{url}: the name "{shown(each.repeated())}" stands more than once in the page')


def _described(value: Any) -> str:
    if isinstance(value, dict):
        keys = list(cast("dict[str, Any]", value))
        more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
        return (
            f"an object with the keys {', '.join(map(shown, keys[:_SHOWN_KEYS]))}{more}" if keys else "an empty object"
        )
    if isinstance(value, list):
        return f"a list of {len(cast('list[Any]', value))}"
    return "null" if value is None else f"{type(value).__name__} {shown(value)}"
