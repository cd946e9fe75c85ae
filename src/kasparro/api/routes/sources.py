"""`/sources`: what is loaded, and how each source fared."""

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from kasparro.api.answers import around, next_link, problems
from kasparro.api.cursors import open_cursor, sign
from kasparro.api.dependencies import Parameters, ask_database, refuse_all, refuse_repeated, whole_number
from kasparro.api.errors import shortened
from kasparro.core.database import Connection
from kasparro.core.errors import NotFoundError
from kasparro.schemas.pages import DEFAULT_LIMIT, MAX_LIMIT, LastRun, Page
from kasparro.schemas.pages.sources import LiveMapping, Source, SourceAnswer, SourceDetail, SourcePage
from kasparro.services import mappings, sources
from kasparro.services.digest import as_text

router = APIRouter(tags=["sources"])
_BOUND = "sources"


class SourcesParameters(Parameters):
    """`GET /sources`."""

    limit: Annotated[
        int, whole_number(1, MAX_LIMIT), Field(ge=1, le=MAX_LIMIT, description="How many sources at most.")
    ] = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(min_length=1, description="`page.next_cursor` of the page before.")] = None


@router.get(
    "/sources",
    response_model=SourcePage,
    responses=problems(400, 401, 403, 410, 429, 503),
    dependencies=[Depends(refuse_repeated)],
)
async def list_sources(request: Request, query: Annotated[SourcesParameters, Query()]) -> Response:
    """Sources by name, each with its latest run."""
    key: bytes = request.app.state.options.cursor_key
    after = None if query.cursor is None else str(open_cursor(key, query.cursor, query=_BOUND))
    rows = await ask_database(request, lambda connection: sources.page(connection, after=after, limit=query.limit + 1))
    shown, more = rows[: query.limit], len(rows) > query.limit
    cursor = sign(key, shown[-1]["name"], query=_BOUND) if more else None
    page = Page(limit=query.limit, next_cursor=cursor, has_more=more, total=None, total_kind="none")
    body = SourcePage(data=[_shown(row) for row in shown], page=page, **around(request))
    return JSONResponse(body.model_dump(mode="json"), headers={"Link": next_link(request, cursor)} if cursor else None)


@router.get(
    "/sources/{name}",
    response_model=SourceAnswer,
    responses=problems(400, 401, 403, 404, 429, 503),
    dependencies=[Depends(refuse_all)],
)
async def read_source(request: Request, name: Annotated[str, Path(description="A source's name.")]) -> Response:
    """One source with its latest run, and the mappings by which its live records were made."""
    found = None
    if name.isprintable():  # others the database cannot hold
        found = await ask_database(request, lambda connection: _detail(connection, name))
    if found is None:
        raise NotFoundError(f"source {shortened(name)!r}: the database knows none of this name", hint="see /sources")
    row, live = found
    shown = [LiveMapping(**asdict(each)) for each in live]
    body = SourceAnswer(data=SourceDetail(**_shown(row).model_dump(), mappings=shown), **around(request))
    return JSONResponse(body.model_dump(mode="json"))


async def _detail(connection: Connection, name: str) -> tuple[dict[str, Any], list[mappings.LiveMapping]] | None:
    rows = await sources.page(connection, name=name, limit=1)
    return (rows[0], await mappings.live(connection, rows[0]["id"])) if rows else None


def _shown(row: dict[str, Any]) -> Source:
    names = ("name", "type", "circuit_state", "created_at", "last_success_at")
    last = {name: row["run_id" if name == "id" else name] for name in LastRun.model_fields}
    return Source(
        **{name: row[name] for name in names},
        key=_key(json.loads(row["identity"])),
        digest=as_text(int(row["digest"])),
        last_run=None if row["run_id"] is None else LastRun(**last),
    )


def _key(identity: dict[str, Any]) -> list[str] | None:
    key = identity.get("key")
    return None if key is None else [key] if isinstance(key, str) else [str(part) for part in key]
