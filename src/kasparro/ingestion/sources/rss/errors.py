"""Why a document is no feed; carried from the parser's process to the source, which adds the URL."""


class NoFeedError(Exception):
    """The document cannot be read as a feed; the message ends the sentence `URL: ..`."""


def beginning(body: bytes) -> str:
    """The first 200 characters of a document, on one line, safe to show and to store."""
    text = " ".join(body[:4096].replace(b"\x00", b"").decode("utf-8", "replace").split())[:200]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
