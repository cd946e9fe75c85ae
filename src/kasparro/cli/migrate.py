"""`kasparro migrate`: bring the database to the schema that this version needs."""

from typing import Annotated

import typer

from kasparro.cli.frame import Context, command
from kasparro.cli.output import Result

CheckOption = Annotated[
    bool, typer.Option("--check", help="Change nothing; fail unless the schema is current and matches the code.")
]


@command(example="kasparro migrate")
async def migrate(context: Context, check: CheckOption = False) -> Result:
    """Apply the migrations that are missing. Several processes may do so at once: one works, the others wait."""
    from kasparro.core.database import connect, resolve
    from kasparro.services import migrations

    options = await resolve(context.settings, report=context.note)
    if check:
        connection = await connect(options, application_name="kasparro:migrate")
        try:
            await migrations.require_current(connection)
        finally:
            await connection.close()
        await migrations.check(options)
        return Result({"revision": migrations.head(), "applied": []}, [f"current: revision {migrations.head()}"])
    applied = await migrations.upgrade(options, report=context.note)
    what = f"applied {', '.join(applied)}" if applied else "nothing to apply"
    return Result({"revision": migrations.head(), "applied": applied}, [f"{what}: revision {migrations.head()}"])
