"""Decides which database this process works with: `DATABASE_URL`'s, or the embedded server's."""

import os
from collections.abc import Callable

from kasparro.core.database.options import ConnectionOptions
from kasparro.core.database.url import parse_url
from kasparro.core.masking import register_secrets
from kasparro.core.settings import Settings


async def resolve(
    settings: Settings, *, report: Callable[[str], None] | None = None, even_if_stopped: bool = True
) -> ConnectionOptions:
    """Options for `DATABASE_URL` if it is set, else for the embedded server, which is started when it does not run.

    Not `even_if_stopped`: work that lost its server must not bring back one that was stopped on purpose.

    The password is masked in all output from here on. Raises DatabaseUrlError or EmbeddedServerError.
    """
    if settings.database_url is not None:
        options = parse_url(settings.database_url.get_secret_value(), os.environ)
    else:
        from kasparro.core import embedded

        options = await embedded.ensure_running(settings.home, report=report, even_if_stopped=even_if_stopped)
    if options.password is not None:
        register_secrets([options.password.get_secret_value()])
    return options
