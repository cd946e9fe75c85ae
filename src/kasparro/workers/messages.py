"""What hooks are posted: as the Standard Webhooks specification says, or as Slack's incoming webhooks take it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kasparro.services.alert_outbox import Waiting

TEST_KIND: Final = "test"
FIRST_LOOK: Final[Mapping[str, str]] = {
    "failing": "kasparro runs show {run_id}",
    "systemic": "kasparro runs show {run_id}",
    "stale": "kasparro status",
    "drift": "kasparro drift list --source {source}",
    "quality": "kasparro runs show {run_id}",
    "anomaly": "kasparro runs show {run_id}",
    "circuit": "kasparro sources",
    TEST_KIND: "kasparro alerts list",
}
"""What to type first, by kind."""
_RUNBOOK: Final = "docs/operations.md"
_LARGEST_SECTION: Final = 2_900
"""Slack takes 3,000 characters in one."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message about an alert. `id` is the same at each try, and no other message's."""

    id: str
    transition: str
    kind: str
    label: str
    source: str | None
    summary: str
    since: datetime
    resolved_at: datetime | None
    run_id: int | None
    alert_id: int | None
    detail: Mapping[str, Any]

    @property
    def first_look(self) -> str:
        return FIRST_LOOK[self.kind].format(run_id=self.run_id or "RUN", source=self.source or "SOURCE")

    @property
    def title(self) -> str:
        """Such as `prices: failing`."""
        label = f" ({self.label})" if self.label else ""
        ended = " is over" if self.transition == "resolved" else ""
        return f"{self.source or 'kasparro'}: {self.kind}{label}{ended}"


def message_of(waiting: Waiting) -> Message:
    """What to say of an alert; the time the message was made tells it from another database's of the same number."""
    return Message(
        id=f"msg_{waiting.id}_{round(waiting.created_at.timestamp() * 1_000_000):x}",
        transition=waiting.transition,
        kind=waiting.kind,
        label=waiting.label,
        source=waiting.source,
        summary=waiting.summary,
        since=waiting.since,
        resolved_at=waiting.resolved_at if waiting.transition == "resolved" else None,
        run_id=waiting.run_id,
        alert_id=waiting.alert_id,
        detail=json.loads(waiting.detail or "{}"),
    )


def trial_message(at: datetime) -> Message:
    """What `kasparro alerts test` sends."""
    summary = "this is a test of the hook; nothing is wrong"
    number = f"msg_test_{round(at.timestamp() * 1_000_000):x}"
    return Message(number, "firing", TEST_KIND, "", None, summary, at, None, None, None, {})


def webhook_body(message: Message) -> bytes:
    """The JSON of a webhook: the same bytes at each try."""
    data = {
        "alert_id": message.alert_id,
        "source": message.source,
        "kind": message.kind,
        "label": message.label,
        "state": message.transition,
        "summary": message.summary,
        "since": _time(message.since),
        "resolved_at": None if message.resolved_at is None else _time(message.resolved_at),
        "run_id": message.run_id,
        "detail": dict(message.detail),
        "first_look": message.first_look,
        "runbook": f"{_RUNBOOK}#{message.kind}",
    }
    at = message.resolved_at or message.since
    body = {"type": f"alert.{message.transition}", "timestamp": _time(at), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def webhook_headers(message_id: str, at: datetime, body: bytes, key: bytes) -> dict[str, str]:
    """The headers that go with a body, signed at this moment by HMAC-SHA256 over `id.timestamp.body`."""
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def slack_body(message: Message) -> bytes:
    """The JSON of a Slack message: `text` for notifications, `blocks` to read."""
    sign = ":white_check_mark:" if message.transition == "resolved" else ":rotating_light:"
    until = "" if message.resolved_at is None else f" until {_time(message.resolved_at)}"
    run = "" if message.run_id is None else f", run {message.run_id}"
    when = f"since {_time(message.since)}{until}{run}"
    text = f"{sign} *{_escaped(message.title)}*\n{_escaped(message.summary)}"[:_LARGEST_SECTION]
    look = f"{when} | `{_escaped(message.first_look)}` | {_RUNBOOK}#{message.kind}"
    body = {
        "text": f"{_escaped(message.title)}: {_escaped(message.summary)}"[:_LARGEST_SECTION],
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": look}]},
        ],
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _escaped(text: str) -> str:
    """The three characters that Slack reads as control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
