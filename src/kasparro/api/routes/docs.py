"""`GET /docs` and `/openapi.json`: the API explains itself, from files that come with the package."""

import asyncio
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, cast

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from kasparro.api.dependencies import refuse_all
from kasparro.api.openapi import describe
from kasparro.core.errors import NotFoundError

ASSETS: Final = {
    "docs.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""What the page asks for, and as what it is served."""
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles are this server's own files, and nobody else is asked for anything."""
FOR_EVER: Final = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_all)])


@dataclass(frozen=True, slots=True)
class _Page:
    """The page and its files by name; `version` changes when any of them does."""

    html: str
    version: str
    plain: dict[str, bytes]
    zipped: dict[str, bytes]


@router.get("/docs")
async def read_docs() -> Response:
    """The page; its files have addresses that change with their content."""
    page = await asyncio.to_thread(_load_page)
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return Response(page.html, headers=headers, media_type="text/html")


@router.get("/docs/assets/{version}/{name}")
async def read_asset(request: Request, version: str, name: str) -> Response:
    """One file of the page, compressed where the client can read that. Another version's are not here."""
    page = await asyncio.to_thread(_load_page)
    if version != page.version or name not in page.plain:
        raise NotFoundError("no such file; /docs names those that there are")
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    body = page.plain[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = page.zipped[name], "gzip"
    return Response(body, headers=headers, media_type=ASSETS[name])


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Response:
    """The description of this server's API, OpenAPI 3.1."""
    return Response(_document_text(cast("FastAPI", request.app)), media_type="application/json")


def _document_text(app: FastAPI) -> str:
    """Written once for each application."""
    if not hasattr(app.state, "openapi_text"):
        app.state.openapi_text = json.dumps(describe(app), ensure_ascii=False, separators=(",", ":"))
    return cast("str", app.state.openapi_text)


@cache
def _load_page() -> _Page:
    folder = resources.files("kasparro.api") / "static"
    places = {name: folder / name if name == "docs.js" else folder / "swagger_ui" / name for name in ASSETS}
    plain = {name: place.read_bytes() for name, place in places.items()}
    version = hashlib.sha256(b"".join(plain.values())).hexdigest()[:12]
    html = (folder / "docs.html").read_text(encoding="utf-8").replace("VERSION", version)
    return _Page(html, version, plain, {name: gzip.compress(body, mtime=0) for name, body in plain.items()})
