"""What `/health` warns of in plain words: what keeps nobody from reading, and yet needs a look."""

from collections.abc import Iterator, Sequence

from kasparro.core.durations import about
from kasparro.schemas.pages.health import DiskHealth, SourceHealth

_FAILED = frozenset({"failed", "systemic"})


def warnings_of(disk: DiskHealth | None, sources: Sequence[SourceHealth]) -> list[str]:
    """One sentence for each matter, the disk first."""
    return [*_of_disk(disk), *(sentence for source in sources for sentence in _of_source(source))]


def _of_disk(disk: DiskHealth | None) -> Iterator[str]:
    if disk is None or disk.state == "ok":
        return
    if disk.free_bytes is None:
        yield "disk: the file system of the database does not answer"
    else:
        room = f"{disk.free_bytes / 1024**3:.1f} GiB"
        yield f"disk: {room} free; " + ("PostgreSQL is about to stop" if disk.state == "full" else "make room soon")


def _of_source(source: SourceHealth) -> Iterator[str]:
    if source.freshness == "stale" and source.stale_after_seconds is not None:
        what = "no success" if source.last_success_at else "no success yet"
        allowed = about(source.stale_after_seconds)
        yield f"{source.name}: {what} for {about(source.age_seconds)}, where its schedule allows {allowed}"
    run = source.last_run
    if source.circuit_state == "open":
        yield f"{source.name}: several runs in a row have failed; it is tried again at growing distances"
    elif run is not None and run.state in _FAILED:
        yield f"{source.name}: the last run failed ({run.error_code}); see /runs/{run.id}"
