"""What may be said about who is told when a source fails, grows stale or recovers."""

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, SecretStr, Tag
from pydantic_core import PydanticCustomError

from kasparro.schemas.alerts import TOLD_KINDS, AlertKind, AlertRules, Route
from kasparro.schemas.configuration.base import OneOrMore, SourceName, without_repeats
from kasparro.schemas.configuration.choice import by_type
from kasparro.schemas.configuration.strict import Strict
from kasparro.schemas.configuration.times import Duration
from kasparro.schemas.configuration.upstream import web_address

SIGNING_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)
_SIGNING_FAULT: Final = (
    'must be "whsec_" and 24 to 64 bytes in base64, as the receiver has it; "whsec_$(openssl rand -base64 32)" is one'
)


def _secret_url(url: SecretStr) -> SecretStr:
    web_address(url.get_secret_value())
    return url


def _signing_secret(secret: SecretStr) -> SecretStr:
    if len(signing_key(secret.get_secret_value()) or b"") not in _KEY_BYTES:
        raise PydanticCustomError("signing_secret", _SIGNING_FAULT)
    return secret


def signing_key(secret: str) -> bytes | None:
    """The bytes that a secret stands for (Standard Webhooks, "Signature scheme"); None when it is malformed."""
    if not secret.startswith(SIGNING_PREFIX):
        return None
    try:
        return base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None


SecretUrl = Annotated[SecretStr, Field(min_length=1), AfterValidator(_secret_url)]
Kinds = Annotated[tuple[AlertKind, ...], OneOrMore, Field(min_length=1), AfterValidator(without_repeats)]
SourceNames = Annotated[tuple[SourceName, ...], OneOrMore, Field(min_length=1), AfterValidator(without_repeats)]


class _Hook(Strict):
    """Whom to tell, and of what."""

    name: SourceName
    """How messages and logs call the hook; its URL shows nowhere."""
    url: SecretUrl
    """Where messages are posted to: `${ALERT_URL}` rather than the URL itself, for who knows it can post there."""
    on: Kinds = TOLD_KINDS
    """The kinds of alerts it is told of. All but `circuit` when absent: `failing` says it earlier."""
    sources: SourceNames | None = None
    """The sources it is told of. All when absent."""
    allow_private: bool = False
    """Whether addresses of this machine and of private networks may be reached."""


class WebhookHook(_Hook):
    """A server that is posted JSON, signed as the [Standard Webhooks](https://www.standardwebhooks.com) specification
    says, so that it can tell that a message is ours, and that it has had it before."""

    type: Literal["webhook"]
    """How the hook is spoken to."""
    secret: Annotated[SecretStr, AfterValidator(_signing_secret)]
    """The secret that messages are signed with: `${ALERT_SECRET}` rather than the secret itself. `whsec_` and 24 to 64
    bytes in base64."""


class SlackHook(_Hook):
    """An incoming webhook of Slack, or of anything that takes its messages (Mattermost, Discord's `/slack`)."""

    type: Literal["slack"]
    """How the hook is spoken to."""


AnyHook = WebhookHook | SlackHook
TypedHook = Annotated[
    Annotated[WebhookHook, Tag("<webhook>")] | Annotated[SlackHook, Tag("<slack>")],
    Discriminator(by_type(WebhookHook, SlackHook)),
]


class Alerts(Strict):
    """Who is told when a source fails, grows stale, drifts or recovers: once when it begins, once when it ends."""

    hooks: tuple[TypedHook, ...] = ()
    """Who is told. Without any, alerts are kept for `kasparro alerts list` all the same."""
    failing_after: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many runs in a row must have failed."""
    recovered_after: Duration = timedelta(minutes=10)
    """How long an alert must have ended before anybody is told so. One that begins again before that was never told to
    have ended, and is not told again: a source that comes and goes makes one message, not many."""

    _written: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    @property
    def written(self) -> dict[str, Any]:
        """As it stands in the file: variables not filled in."""
        return self._written

    def rules(self, source: str) -> AlertRules:
        """What this means for one source."""
        told = [hook for hook in self.hooks if hook.sources is None or source in hook.sources]
        return AlertRules(
            routes=tuple(Route(hook.name, frozenset(hook.on)) for hook in told),
            failing_after=self.failing_after,
            recovered_after_seconds=self.recovered_after.total_seconds(),
        )
