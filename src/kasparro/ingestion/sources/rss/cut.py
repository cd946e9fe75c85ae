"""Documents that break off: half of the last entry must not replace what the feed said of it before.

That a document is not well-formed does not tell. feedparser's lenient parser, which reads such documents, is watched:
where the document ends for it inside an entry, and the feed was not closed since that began, it broke off there (RDF
closes its channel before the first entry). So it does where a CDATA section or a comment that is never closed swallows
the rest.
"""

from typing import Any, Final, cast

_FEEDS: Final = frozenset(("rss", "channel", "feed", "rdf"))
_MARK: Final = "_cut"


def watch(lenient: Any) -> None:
    """Have feedparser's lenient parser mark the entry in which a document breaks off."""
    feed, end_tag = lenient.feed, lenient.unknown_endtag

    def watched_end_tag(parser: Any, tag: str) -> None:
        end_tag(parser, tag)
        if tag.rpartition(":")[2].lower() in _FEEDS:
            parser.entries_when_closed = len(parser.entries)

    def watched_feed(parser: Any, data: str) -> None:
        parser.entries_when_closed = -1
        feed(parser, data)
        if parser.inentry and parser.entries and parser.entries_when_closed != len(parser.entries):
            parser.entries[-1][_MARK] = True

    lenient.unknown_endtag, lenient.feed = watched_end_tag, watched_feed


def is_cut(entry: dict[str, Any]) -> bool:
    """Whether the document breaks off in this entry."""
    return cast("Any", dict).get(entry, _MARK) is True


def whole_characters(body: bytes) -> bytes:
    """The document without the part of a UTF-8 character that it ends in: else none of it would be taken for UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(body):
            return body[: error.start]
    return body
