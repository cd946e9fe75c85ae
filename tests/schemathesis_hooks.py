"""What schemathesis cannot know of the API: loaded by it, in its own process (`SCHEMATHESIS_HOOKS`)."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Cursors are signed: no schema says which are valid, so none is sent where a request should be accepted."""
    del context, kwargs
    if case.meta is not None and case.meta.generation.mode.is_positive and case.query:
        case.query.pop("cursor", None)
