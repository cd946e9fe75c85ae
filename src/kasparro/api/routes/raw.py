"""`GET /raw/{id}`: a payload as it came."""

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from kasparro.api.conditional import tagged
from kasparro.api.data_pages import tail
from kasparro.api.dependencies import RecordId, ask_database, refuse_all
from kasparro.core.errors import NotFoundError
from kasparro.schemas.pages import Problem, RawItem
from kasparro.services import data

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    **{status: {"model": Problem} for status in (400, 404, 422, 503)},
    304: {"description": "The answer is the one whose ETag `If-None-Match` names: payloads do not change."},
}

router = APIRouter(tags=["data"], dependencies=[Depends(refuse_all)])


@router.get("/raw/{id}", response_model=RawItem, responses=_PROBLEMS)
async def show_raw(request: Request, record_id: RecordId) -> Response:
    """The payload behind a record, by its `raw_id`, with where and when it was found and which one it replaced."""
    raw = await ask_database(request, lambda connection: data.read_raw(connection, record_id))
    if raw is None:
        raise NotFoundError(f"there is no payload {record_id}")
    return tagged(request, f'{{"data":{raw}', tail(request), media_type="application/json")
