"""Which pages elsewhere may read the API in a browser: none, unless `KASPARRO_CORS_ORIGINS` lists their origins."""

from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

_SENT: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Prefer",
    "X-Request-ID",
    "traceparent",
)
_SHOWN: Final = (
    "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", "X-Request-ID",
)  # fmt: skip
_PREFLIGHT_SECONDS: Final = 600


def allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let pages of these origins ask, and read what they are answered; cookies are never part of it."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=_SENT,
        expose_headers=_SHOWN,
        max_age=_PREFLIGHT_SECONDS,
    )
