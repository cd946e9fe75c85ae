"""The words and examples of /openapi.json that no route carries itself."""

import json
from functools import cache
from importlib import resources
from typing import Any, Final

DESCRIPTION: Final = """\
Records that were pulled from REST APIs, CSV files and RSS, Atom and JSON feeds, normalized into one table.

**Reading.** `GET /data` answers page by page. Values are exact decimals, as strings; times are RFC 3339 in UTC.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`, and with the `request_id` under which the log
tells more. An unknown query parameter is a 400 that names the nearest valid one.

**Keys.** `Authorization: Bearer ksp_<id>_<secret>`, made by `kasparro keys create`. Reading may be open (it is on
loopback); what starts work or changes state always needs a key with the scope `operate`. A key that is not valid is a
401 everywhere, even where none is needed.

**Every answer** carries `X-Request-ID`; a valid one that is sent is echoed.
"""

TAGS: Final = {
    "data": "Records in their current, normalized state.",
    "raw": "Payloads as they came.",
    "sources": "What is read, from where, and how it stands.",
    "runs": "What each run did, and starting new ones.",
    "rejects": "Records that did not pass, and giving them another try.",
    "drift": "How payloads differ from the shape that was accepted.",
    "stats": "Sums over runs and records.",
    "health": "Whether this server can do what it promises.",
    "metrics": "The same for Prometheus.",
}

_UNSEEN: Final = "the log has the details under this request_id"
PROBLEMS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("The request is malformed.", "parameter", "limit: expected a whole number from 1 to 1000"),
    401: ("A key is missing or not valid.", "unauthorized", "this needs a key"),
    403: ("The key does not grant this.", "forbidden", "the key does not grant the scope 'operate'"),
    404: ("There is no such thing.", "not_found", "source: 'nowz' is neither a source's name nor a type"),
    406: ("There is no such form of this.", "not_acceptable", "known are application/json and text/csv"),
    408: ("The request did not arrive in time.", "request_timeout", "the body did not arrive within 10 s"),
    409: ("It is being done already.", "run_conflict", "a run of 'flights' is active already"),
    410: ("The cursor was signed with a key that is gone.", "cursor_expired", "cursor: begin again without one"),
    413: ("The body is too large.", "content_too_large", "a body has at most 65,536 bytes"),
    414: ("The address is too long.", "uri_too_long", "path and query have at most 8,192 bytes"),
    415: ("The body is in no form that is read here.", "unsupported_media_type", "send it as application/json"),
    422: ("The request is well-formed, but cannot be done.", "configuration", "the source is not configured"),
    429: ("Too many requests.", "too_many_requests", "more than 6000 requests in a minute"),
    431: ("The headers are too long.", "headers_too_large", "headers have at most 32,768 bytes"),
    500: ("An error that nobody expected.", "unexpected", f"unexpected error; {_UNSEEN}"),
    502: ("A run failed.", "source", "run 7 of 'flights' failed: the upstream answered 500"),
    503: ("The database, or who does the work, is not there now.", "database_unreachable", f"try again; {_UNSEEN}"),
}
"""For each status: what it means, and a `code` and `detail` as an example."""

PARAMETER_EXAMPLES: Final[dict[str, str | int | list[str]]] = {
    "limit": 10,
    "id": 1,
    "name": "flights",
    "source": "flights",
    "source_type": "csv",
    "sort": "-occurred_at",
    "occurred_at": ["gte.2013-01-01", "lt.2013-02-01"],
    "value": ["gte.1000"],
    "q": "N14228",
    "count": "estimated",
    "status": "succeeded",
    "wait": True,
    "timeout": 60,
    "state": "open",
    "code": "invalid_decimal",
    "field": "value",
    "kind": "field_renamed",
    "run": 1,
    "base": 1,
    "target": 2,
    "run1_id": 1,
    "run2_id": 2,
    "records": "changed",
}
"""By name, for every operation that has such a parameter: values that go together."""


@cache
def body_examples() -> dict[str, Any]:
    """A body of the successful answer, by operation."""
    text = (resources.files("kasparro.api") / "static" / "examples.json").read_text(encoding="utf-8")
    return json.loads(text)
