"""What answers of several routes have in common: what stands around the data, problems, the way to the next page."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request

from kasparro.api.middleware import milliseconds_since
from kasparro.schemas.pages import Problem


def around(request: Request) -> dict[str, Any]:
    """What every body has beside its data."""
    return {"request_id": request.state.request_id, "api_latency_ms": milliseconds_since(request.state.started)}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the statuses that come with a problem."""
    return {status: {"model": Problem} for status in statuses}


def next_link(request: Request, cursor: str) -> str:
    """The value of `Link` (RFC 8288), relative to the server: proxies need not tell us our name."""
    pairs = parse_qsl(request.scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    kept = [pair for pair in pairs if pair[0] not in {"cursor", "offset"}]
    path = f"{request.scope.get('root_path', '')}{request.scope['route'].path.format(**request.path_params)}"
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
