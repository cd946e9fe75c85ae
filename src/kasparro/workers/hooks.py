"""Configured hooks made ready to be sent to. Imported only where there are any: it brings the HTTP client."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from kasparro import __version__
from kasparro.ingestion.http.posting import Posted, Poster
from kasparro.schemas.configuration import AnyHook, SlackHook, signing_key
from kasparro.workers.alerting import Hook
from kasparro.workers.messages import Message, slack_body, webhook_body, webhook_headers

_TOKEN_CHARACTERS: Final = 12
"""A part of a URL's path that is as long as this may be what keeps the hook secret."""


@asynccontextmanager
async def open_hooks(configured: Sequence[AnyHook], contact: str | None) -> AsyncGenerator[list[Hook]]:
    """The hooks, for as long as the block lasts; `contact` tells a receiver whom to ask."""
    agent = f"kasparro/{__version__} (+{contact or 'no contact given'})"
    async with Poster(user_agent=agent) as poster:
        yield [hook_of(hook, poster) for hook in configured]


def hook_of(configured: AnyHook, poster: Poster) -> Hook:
    """One hook over a poster."""
    return Hook(configured.name, partial(_send, configured, poster))


async def _send(hook: AnyHook, poster: Poster, message: Message, at: datetime) -> Posted:
    url = hook.url.get_secret_value()
    secrets = [part for part in urlsplit(url).path.split("/") if len(part) >= _TOKEN_CHARACTERS]
    if isinstance(hook, SlackHook):
        return await poster.post(url, slack_body(message), {}, secrets=secrets, allow_private=hook.allow_private)
    secret = hook.secret.get_secret_value()
    key = signing_key(secret)
    assert key is not None, "validated with the configuration"
    body = webhook_body(message)
    headers = webhook_headers(message.id, at, body, key)
    return await poster.post(url, body, headers, secrets=[*secrets, secret], allow_private=hook.allow_private)
