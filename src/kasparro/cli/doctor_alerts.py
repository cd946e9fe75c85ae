"""What `kasparro doctor` says of hooks that do not take their messages. Sends nothing."""

from typing import TYPE_CHECKING, Any

from kasparro.cli.finding import Finding
from kasparro.core.masking import mask_text

if TYPE_CHECKING:
    from kasparro.core.database import Connection


async def check_hooks(connection: "Connection") -> list[Finding]:
    """Each hook that has refused a message which waits, or was given up within a day; none where all is well."""
    from kasparro.services import alert_outbox

    return [_check(hook) for hook in await alert_outbox.standing(connection) if hook["last_error"] is not None]


def _check(hook: dict[str, Any]) -> Finding:
    parts = [f"{hook['waiting']} messages wait"] if hook["waiting"] else []
    parts += [f"{hook['given_up']} given up within a day"] if hook["given_up"] else []
    found = f"{', '.join(parts)}: {mask_text(hook['last_error'])}"
    return Finding(
        f"hook {hook['hook']}", "warn", found, f"mend it below `alerts:`; `kasparro alerts test {hook['hook']}`"
    )
