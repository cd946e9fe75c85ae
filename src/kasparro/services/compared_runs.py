"""What two runs of a source were made by, and what was found about the shape of payloads between them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kasparro.core.database import Connection
from kasparro.core.masking import mask_text
from kasparro.schemas.pages.comparison import DriftBetween

MOST_DRIFT: Final = 100
_MAPPINGS: Final = "select id, mapping::text as mapping from mapping_versions where id = any($1::integer[])"
_DRIFT: Final = """
select d.id, d.run_id, d.kind, d.field, d.share, d.confidence, d.mapped, d.policy, d.state, d.created_at, d.closed_at
from schema_drift_events d join etl_runs r on r.id = d.run_id
where d.source_id = $1::integer
  and (r.started_at > $2::timestamptz and r.started_at <= $3::timestamptz
       or d.closed_at > $2::timestamptz and d.closed_at <= coalesce($4::timestamptz, d.closed_at))
order by d.id limit $5::integer
"""


async def mapping_texts(connection: Connection, versions: Sequence[int | None]) -> dict[int | None, str]:
    """The canonical JSON of these mappings, by version."""
    known = [version for version in versions if version is not None]
    return {row["id"]: row["mapping"] for row in await connection.fetch(_MAPPINGS, known)}


async def drift_between(
    connection: Connection, base: Mapping[str, Any], target: Mapping[str, Any]
) -> tuple[list[DriftBetween], bool]:
    """Findings that a run after the base was the first to make, up to the target, or that were closed between.

    The first 100, and whether there are more.
    """
    rows = await connection.fetch(
        _DRIFT, base["source_id"], base["started_at"], target["started_at"], target["finished_at"], MOST_DRIFT + 1
    )
    found = [{**dict(row), "field": mask_text(row["field"])} for row in rows[:MOST_DRIFT]]
    return [DriftBetween.model_validate(each) for each in found], len(rows) > MOST_DRIFT
