"""Feeds: RSS 0.9x to 2.0, RDF, Atom 0.3 and 1.0, JSON Feed 1.0 and 1.1.

Import `source`, `options` and `fields` directly: the parser's process starts often, and needs none of them.
"""
