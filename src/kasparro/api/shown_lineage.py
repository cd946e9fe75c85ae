"""A record's lineage as the API shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from kasparro.core.differences import differences
from kasparro.core.exact_json import Written, parse, write
from kasparro.core.masking import mask_text
from kasparro.services.lineage import Batch, ChainLink, TracedRecord

MOST_CHANGES: Final = 200
_LINK: Final = ("id", "record_key", "locator", "fetched_at", "kept", "prev_raw_id")
_RUN: Final = ("id", "state", "trigger", "operation", "started_at", "finished_at")


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found of a record: `links` may hold one more than the `limit` of a page."""

    record: TracedRecord
    links: Sequence[ChainLink]
    limit: int
    runs: Mapping[int, Mapping[str, Any]]
    batches: Mapping[int, Batch]
    rejects: Sequence[Mapping[str, Any]]

    @property
    def next_raw_id(self) -> int | None:
        """Where the next page begins, if there is one."""
        return self.links[self.limit].id if len(self.links) > self.limit else None


def lineage_text(trace: Trace, page: str) -> str:
    """JSON text of the members `data` and `page`, without the end of the body. Takes as long as payloads are large."""
    record, mapping = trace.record, trace.record.mapping
    shown = trace.links[: trace.limit]
    before = {link.id: link for link in trace.links}
    history, dropped = _end(trace)
    data = {
        "record": Written(record.json),
        "mapping": mapping and {**asdict(mapping), "text": Written(mapping.text)},
        "run": _run(trace, record.run_id),
        "payloads": [_payload(trace, link, before.get(link.prev_raw_id or 0)) for link in shown],
        "history": history,
        "dropped_raw_id": dropped,
        "rejects": [_reject(reject) for reject in trace.rejects],
    }
    return f'{{"data":{write(data)},"page":{page}'


def _end(trace: Trace) -> tuple[str, int | None]:
    """Why the payloads end where they do, and the first that retention has dropped."""
    if trace.next_raw_id is not None:
        return "more", None
    dropped = trace.links[-1].prev_raw_id if trace.links else trace.record.raw_id
    return ("complete", None) if dropped is None else ("dropped", dropped)


def _payload(trace: Trace, link: ChainLink, before: ChainLink | None) -> dict[str, Any]:
    batch = trace.batches.get(link.id)
    changes, more = (None, False) if before is None else _changes(before.payload, link.payload)
    return {
        **{name: getattr(link, name) for name in _LINK},
        "payload": Written(link.payload),
        "run": _run(trace, link.run_id),
        "batch": batch and {**asdict(batch), "partition": mask_text(batch.partition)},
        "changes": changes,
        "more_changes": more,
    }


def _changes(before: str, after: str) -> tuple[list[dict[str, Any]], bool]:
    found, more = differences(parse(before), parse(after), most=MOST_CHANGES)
    return [asdict(difference) for difference in found], more


def _run(trace: Trace, run_id: int) -> dict[str, Any] | None:
    run = trace.runs.get(run_id)
    return None if run is None else {name: run[name] for name in _RUN}


def _reject(reject: Mapping[str, Any]) -> dict[str, Any]:
    return {**reject, "message": mask_text(reject["message"]), "locator": mask_text(reject["locator"])}
