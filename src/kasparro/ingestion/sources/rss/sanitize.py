"""Strangers' HTML made harmless by nh3 (ammonia): an allow-list of tags, attributes and URL schemes."""

import html
import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

_TAGS: Final = {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "col",
    "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2",
    "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "rp", "rt",
    "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td",
    "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
}  # fmt: skip
"""No form, frame, style, SVG, media player or anything that loads more than a picture."""
_ATTRIBUTES: Final = {
    "*": {"title", "lang", "dir"},
    "a": {"href", "hreflang"},
    "img": {"src", "alt", "width", "height"},
    "blockquote": {"cite"},
    "q": {"cite"},
    "del": {"cite", "datetime"},
    "ins": {"cite", "datetime"},
    "time": {"datetime"},
    "td": {"colspan", "rowspan", "headers"},
    "th": {"colspan", "rowspan", "headers", "scope", "abbr"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start"},
}
_SCHEMES: Final = {"http", "https", "mailto", "tel"}
_WITH_CONTENT: Final = {"script", "style", "template", "noscript", "iframe", "object", "svg", "math", "title", "head"}
_MARKUP: Final = re.compile(r"<[A-Za-z/!?]")


def clean_html(text: str, base: str) -> str:
    """HTML that is safe to show; its references are made absolute with `base`, an http(s) URL."""
    return _cleaner(base).clean(text)


def clean_text(text: str) -> str:
    """Plain text as HTML: nothing in it is markup."""
    return html.escape(text, quote=False)


def without_markup(text: str) -> str:
    """One line of plain text: tags and scripts are gone, references such as `&amp;` are characters again.

    What would look like a tag then keeps its references.
    """
    escaped: Any = _cleaner(None).clean(text) if _MARKUP.search(text) else text
    plain = html.unescape(escaped)
    return " ".join((clean_text(plain) if _MARKUP.search(plain) else plain).split())


def safe_url(url: str | None) -> str | None:
    """The URL if it leads to a page: http or https."""
    try:
        return url if url and urlsplit(url.strip()).scheme.lower() in ("http", "https") else None
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _cleaner(base: str | None) -> Any:
    """A cleaner that resolves references with `base`; None: one that leaves no tag."""
    import nh3

    if base is None:
        return nh3.Cleaner(tags=set[str](), clean_content_tags=_WITH_CONTENT)
    return nh3.Cleaner(
        tags=_TAGS, attributes=_ATTRIBUTES, clean_content_tags=_WITH_CONTENT, url_schemes=_SCHEMES,
        url_relative=("rewrite_with_base", base),
    )  # fmt: skip
