"""What `kasparro doctor` says of the settings of the PostgreSQL server in use."""

from typing import TYPE_CHECKING, Final

from kasparro.cli.finding import Finding

if TYPE_CHECKING:
    from kasparro.core.database import Connection

_CHECK: Final = "server settings"


async def check_server_settings(connection: "Connection", *, embedded: bool) -> Finding:
    """One finding: what is to be set to what, and why. Nothing of it keeps kasparro from working."""
    from kasparro.services.server_settings import find_shortfalls

    shortfalls = await find_shortfalls(connection)
    if not shortfalls:
        return Finding(_CHECK, "ok", "good for kasparro")
    found = ", ".join(f"{each.recommended.name} is {each.shown}" for each in shortfalls)
    wanted = [
        f"{each.recommended.name} = {each.recommended.value} ({each.recommended.why}"
        f"{'; needs a restart' if each.needs_restart else ''})"
        for each in shortfalls
    ]
    where = "change `custom.conf`" if embedded else "docs/deployment.md says how"
    return Finding(_CHECK, "warn", found, f"set {', '.join(wanted)}; {where}")
