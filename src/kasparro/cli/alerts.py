"""`kasparro alerts list|test`: what is wrong now, who was told, and whether hooks take a message."""

import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kasparro.cli.database import connected
from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result, Table
from kasparro.core.errors import EXIT_OK, EXIT_SOURCE, UsageError
from kasparro.core.masking import mask_text

if TYPE_CHECKING:
    from kasparro.schemas.configuration import AnyHook

_LISTED: Final = (
    "id", "source", "kind", "label", "state", "since", "resolved_at", "run_id", "told", "waiting", "given_up",
    "summary",
)  # fmt: skip


@command(example="kasparro alerts list")
async def list_alerts(
    context: Context,
    *,
    source: Annotated[str | None, typer.Option("--source", help="Only alerts of this source.")] = None,
    all_states: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 50,
) -> Result:
    """Show what is wrong now, since when, and how many messages about it were delivered, wait, or were given up."""
    from kasparro.services import alert_outbox, alerts, sources

    async with connected(context, "alerts") as connection:
        if source is not None:
            await sources.get(connection, source)
        rows = await alerts.latest(connection, all_states=all_states, source=source, limit=limit)
        hooks = await alert_outbox.standing(connection)
    data = [{**row, "summary": mask_text(row["summary"])} for row in rows]
    shown = [[row[name] for name in _LISTED] for row in data]
    lines = [_standing(hook) for hook in hooks]
    nothing = [] if rows else ["nothing is wrong" if not all_states else "there was no alert yet"]
    table = [Table(_LISTED, shown, right=("told", "waiting", "given_up"))] if rows else []
    return Result(data, [*table, *nothing, *(["", *lines] if lines else [])])


@command(example="kasparro alerts test team")
async def try_hooks(
    context: Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="HOOK", help="Hooks by name (default: all).")] = None,
) -> Result:
    """Send a test message to each hook, once. Exit 4 when one does not take it."""
    from datetime import UTC, datetime

    from kasparro.workers.hooks import open_hooks
    from kasparro.workers.messages import trial_message

    chosen = _chosen(context, names or [])
    now = datetime.now(UTC)
    results: list[dict[str, Any]] = []
    async with open_hooks(chosen, context.settings.contact) as hooks:
        for hook in hooks:
            outcome = await hook.send(trial_message(now), now)
            results.append({"hook": hook.name, "delivered": outcome.error is None, "error": outcome.error})
    lines = [f"{each['hook']}: {'delivered' if each['delivered'] else each['error']}" for each in results]
    return Result({"data": results}, lines, EXIT_OK if all(each["delivered"] for each in results) else EXIT_SOURCE)


def _chosen(context: Context, names: list[str]) -> "list[AnyHook]":
    """The configured hooks of these names. Raises UsageError for another name, and where there are none."""
    from kasparro.schemas.configuration import load_configuration
    from kasparro.schemas.configuration.nearest import nearest

    hooks = {hook.name: hook for hook in load_configuration(context.config_path, os.environ).alerts.hooks}
    if not hooks:
        hint = "add some below `alerts:` (docs/operations.md, Alerts)"
        raise UsageError(f"{context.config_path} has no hooks to send to", hint=hint)
    for name in names:
        if name not in hooks:
            raise UsageError(f'there is no hook "{name}"{nearest(name, hooks)}', hint=f"Hooks: {', '.join(hooks)}")
    return [hooks[name] for name in (names or hooks)]


def _standing(hook: dict[str, Any]) -> str:
    parts = [f"{hook['waiting']} waiting"] if hook["waiting"] else []
    parts += [f"{hook['given_up']} given up within a day"] if hook["given_up"] else []
    error = f": {mask_text(hook['last_error'])}" if hook["last_error"] else ""
    return f"hook {hook['hook']}: {', '.join(parts)}{error}"
