"""A process that delivers one message to a webhook, and may be killed while the hook has it."""

import asyncio
import sys

from kasparro.core.database import parse_url
from kasparro.ingestion.http.posting import Poster
from kasparro.schemas.configuration import WebhookHook
from kasparro.workers.alerting import Alerting
from kasparro.workers.hooks import hook_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def webhook(url: str) -> WebhookHook:
    values = {"name": "pager", "type": "webhook", "url": url, "secret": SECRET, "allow_private": True}
    return WebhookHook.model_validate(values)


async def deliver(database_url: str, hook_url: str) -> None:
    """Deliver what is due now."""
    async with Poster(user_agent="kasparro/test", seconds=60) as poster:
        hook = hook_of(webhook(hook_url), poster)
        alerting = Alerting(parse_url(database_url, {}), [], [hook])
        await alerting.deliver(hook)
        alerting.close()


if __name__ == "__main__":
    asyncio.run(deliver(*sys.argv[1:]))
