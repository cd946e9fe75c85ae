"""What hooks are posted, and how it is signed."""

import base64
import hashlib
import json
from datetime import UTC, datetime

from kasparro.schemas.alerts import ALERT_KINDS
from kasparro.services.alert_outbox import Waiting
from kasparro.workers.messages import (
    FIRST_LOOK,
    Message,
    message_of,
    slack_body,
    trial_message,
    webhook_body,
    webhook_headers,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AN_HOUR_LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)


def waiting(**changes: object) -> Waiting:
    values: dict[str, object] = {
        "id": 7,
        "attempts": 1,
        "created_at": NOON,
        "transition": "firing",
        "alert_id": 3,
        "kind": "failing",
        "label": "",
        "summary": "source_unreachable: no <route> & no host",
        "detail": '{"runs": 2}',
        "run_id": 12,
        "since": NOON,
        "resolved_at": None,
        "source": "prices",
        **changes,
    }
    return Waiting(**values)  # pyright: ignore[reportArgumentType]


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    """RFC 2104, written out."""
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def test_signature_is_that_of_the_specification() -> None:
    """The vector of the Standard Webhooks libraries: https://github.com/standard-webhooks/standard-webhooks."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = webhook_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', key)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_signature_is_an_hmac_over_id_timestamp_and_body() -> None:
    message = message_of(waiting())
    body = webhook_body(message)
    headers = webhook_headers(message.id, NOON, body, b"k" * 32)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac_sha256(b"k" * 32, signed)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_webhook_says_what_is_wrong_since_when_and_what_to_do() -> None:
    assert json.loads(webhook_body(message_of(waiting()))) == {
        "type": "alert.firing",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "alert_id": 3,
            "source": "prices",
            "kind": "failing",
            "label": "",
            "state": "firing",
            "summary": "source_unreachable: no <route> & no host",
            "since": "2026-03-01T12:00:00Z",
            "resolved_at": None,
            "run_id": 12,
            "detail": {"runs": 2},
            "first_look": "kasparro runs show 12",
            "runbook": "docs/operations.md#failing",
        },
    }


def test_message_is_the_same_at_each_try_whatever_became_of_the_alert_meanwhile() -> None:
    first, again = waiting(), waiting(attempts=2, resolved_at=AN_HOUR_LATER)
    assert webhook_body(message_of(first)) == webhook_body(message_of(again))
    assert message_of(first).id == message_of(again).id == "msg_7_64bf535af1000"


def test_messages_of_the_same_number_from_two_databases_differ() -> None:
    assert message_of(waiting()).id != message_of(waiting(created_at=AN_HOUR_LATER)).id


def test_end_of_an_alert_says_when_it_was() -> None:
    document = json.loads(webhook_body(message_of(waiting(transition="resolved", resolved_at=AN_HOUR_LATER))))
    assert (document["type"], document["timestamp"]) == ("alert.resolved", "2026-03-01T13:00:00Z")
    assert (document["data"]["state"], document["data"]["resolved_at"]) == ("resolved", "2026-03-01T13:00:00Z")


def test_slack_message_has_text_and_blocks_with_its_control_characters_escaped() -> None:
    document = json.loads(slack_body(message_of(waiting())))
    assert document == {
        "text": "prices: failing: source_unreachable: no &lt;route&gt; &amp; no host",
        "blocks": [
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": ":rotating_light: *prices: failing*\nsource_unreachable: no &lt;route&gt; &amp; no host",
                },
            },
            {
                "type": "context",
                "elements": [
                    {
                        "type": "mrkdwn",
                        "text": "since 2026-03-01T12:00:00Z, run 12 | `kasparro runs show 12` | "
                        "docs/operations.md#failing",
                    }
                ],
            },
        ],
    }


def test_long_summary_fits_into_a_slack_section() -> None:
    document = json.loads(slack_body(message_of(waiting(summary="<" * 3000))))
    assert len(document["blocks"][0]["text"]["text"]) <= 3000


def test_every_kind_has_a_first_look() -> None:
    assert {*ALERT_KINDS, "test"} == set(FIRST_LOOK)


def test_test_message_is_marked_as_one() -> None:
    message: Message = trial_message(NOON)
    assert (message.kind, message.summary) == ("test", "this is a test of the hook; nothing is wrong")
