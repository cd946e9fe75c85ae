"""Relative references (RFC 3986 section 5)."""

from urllib.parse import urljoin


def resolved(base: str, reference: str) -> str:
    """A reference made absolute; empty where it is none."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return ""
