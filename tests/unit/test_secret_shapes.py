"""Every known shape of a secret is masked wherever it stands; harmless texts stay as they are.

The secrets are put together here, so that no scanner takes this file for a leak.
"""

import io
import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time
from typing import Any, Final
from urllib.parse import quote

import pytest

from kasparro.core.logging import configure_logging, get_logger
from kasparro.core.masking import mask_text, masked

A: Final = "Zq7xW2mK9pLr4tVb8nYc3hJd6gSf5aEw"
"""32 characters that nothing else has."""
JWT: Final = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", A))
HEX: Final = "0123456789abcdef" * 4

NAMED: Final = {
    "bearer header": f"Authorization: Bearer {A}",
    "bearer in lower case": f"authorization: bearer {A}",
    "basic header": f"Authorization: Basic {b64encode(f'ada:{A}'.encode()).decode()}",
    "token header": f"Authorization: Token {A}",
    "digest header": f'Authorization: Digest username="ada", nonce="{A}", response="{A}"',
    "AWS signature header": f"Authorization: AWS4-HMAC-SHA256 Credential=ada/2026, Signature={A}",
    "proxy header": f"Proxy-Authorization: Basic {A}",
    "cookie": f"Cookie: theme=dark; session={A}",
    "set-cookie": f"Set-Cookie: sid={A}; Path=/; HttpOnly",
    "api key header": f"X-Api-Key: {A}",
    "header as ASGI has it": f"(b'x-api-key', b'{A}')",
    "header in a list": f'["X-Auth-Token", "{A}"]',
    "URL with password": f"https://ada:{A}@example.org/x",
    "URL with a token for user": f"https://{A}@example.org/x",
    "query": f"https://example.org/x?limit=1&token={A}&page=2",
    "query first": f"https://example.org/x?api_key={A}",
    "query in camel case": f"https://example.org/x?accessToken={A}",
    "signed query": f"https://b.s3.amazonaws.com/k?X-Amz-Signature={A}&X-Amz-Date=1",
    "shared access": f"https://x.blob.core.windows.net/c?sv=2024&sig={A}",
    "form body": f"grant_type=password&username=ada&password={A}",
    "JSON": json.dumps({"user": "ada", "client_secret": A}),
    "JSON with blanks in it": json.dumps({"password": f'one "two" {A}'}),
    "JSON in JSON": json.dumps({"body": json.dumps({"apiKey": A, "n": 1})}),
    "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps({"refresh_token": A}))),
    "Python's own": repr({"password": A}),
    "Python's own, bytes": repr({"secret": A.encode()}),
    "number": '{"password": 4711081547, "n": "' + "x" + '"}',
    "YAML": f"api_key: {A}",
    "YAML, quoted": f"password: '{A}'",
    "environment": f"AWS_SECRET_ACCESS_KEY={A}",
    "PGPASSWORD": f"PGPASSWORD={A} psql",
    "URI of PostgreSQL": f"postgresql://ada:{A}@db.example.org:5432/x?sslmode=require",
    "URI of several hosts": f"postgres://ada:{A}@one:5432,two:5432/x",
    "URI with an odd password": f"postgresql://ada:a/b?c#{A}@db/x",
    "URI with the password behind": f"postgresql:///x?host=/run&user=ada&password={A}",
    "URI of a driver": f"postgresql+asyncpg://ada:{A}@db/x",
    "URI of another database": f"redis://:{A}@cache:6379/0",
    "keywords": f"host=db user=ada password={A} dbname=x",
    "keywords, quoted": f"host=db password='a b\\'c {A}' dbname=x",
    "keywords with blanks": f"host = db password = '{A}' dbname = x",
    "keywords, escaped": f"password=a\\ b{A} host=db",
    "keywords, odd characters": f'password=a&b#c"{A} host=db',
    "keyword of a client key": f"sslpassword={A} host=db",
    "SQL": f"ALTER ROLE ada PASSWORD '{A}'",
    "curl": f"curl -u ada:{A} https://example.org",
    "option": f"kasparro-x --api-token {A} run",
    "element": f"<wsse:Password Type='x'>{A}</wsse:Password>",
    "connection string": f"AccountName=x;AccountKey={A}==;EndpointSuffix=core.windows.net",
    "quoted for a URL": "next=" + quote(f"https://example.org/?token={A}", safe=""),
    "quoted twice": "next=" + quote(quote(f"https://ada:{A}@example.org/", safe=""), safe=""),
    "quoted database URL": "url=" + quote(f"postgresql://ada:{A}@db/x", safe=""),
}
SHAPED: Final = {
    "ours": "ksp_0123456789ab_" + HEX,
    "AWS": "AKIA" + "ZQ7XW2MK9PLR4TVB",
    "AWS, temporary": "ASIA" + "ZQ7XW2MK9PLR4TVB",
    "GitHub": "ghp_" + A + "abcd",
    "GitHub's server": "ghs_" + A + "abcd",
    "GitHub, fine-grained": "github_pat_" + A + "_" + A,
    "GitLab": "glpat-" + A[:20],
    "Slack": "xoxb-" + "123456789012-123456789012-" + A[:24],
    "Slack's app": "xapp-1-" + A,
    "Slack's webhook": "https://hooks.slack.com/services/" + "T0000AAAA/B0000AAAA/" + A[:24],
    "Discord's webhook": "https://discord.com/api/webhooks/" + "123456789012345678/" + A + A,
    "Teams' webhook": "https://x.webhook.office.com/webhookb2/" + A + "@" + A + "/IncomingWebhook/" + A,
    "Stripe": "sk_live_" + A[:24],
    "Stripe, restricted": "rk_test_" + A[:24],
    "Stripe's webhook": "whsec_" + A,
    "Google": "AIza" + "Sy" + A + "A",
    "Google OAuth": "ya29." + A + A,
    "Google's client": "GOCSPX-" + A[:28],
    "JWT": JWT,
    "OpenAI": "sk-proj-" + A + A,
    "Anthropic": "sk-ant-" + "api03-" + A,
    "Hugging Face": "hf_" + A + "ab",
    "npm": "npm_" + A + "abcd",
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + A + A,
    "SendGrid": "SG." + A[:22] + "." + A + "abcdefghijk",
    "Mailgun": "key-" + HEX[:32],
    "Twilio": "SK" + HEX[:32],
    "DigitalOcean": "dop_v1_" + HEX,
    "Databricks": "dapi" + HEX[:32],
    "Shopify": "shpat_" + HEX[:32],
    "Vault": "hvs." + A,
    "Grafana": "glsa_" + A + "_0a1b2c3d",
    "Telegram": "https://api.telegram.org/bot" + "123456789:AA" + A + "x/getMe",
    "PEM": "-----BEGIN RSA PRIVATE " + f"KEY-----\nMII{A}\n{A}\n-----END RSA PRIVATE " + "KEY-----",
    "PEM, cut off": "-----BEGIN PRIVATE " + f"KEY-----\\nMII{A}\\n{A}",
}
HARMLESS: Final = [
    "GET /data 200",
    "https://example.org/a/b?limit=100&sort=-occurred_at&cursor=eyJ",
    "https://example.org/feed.xml?page_token=abc123def456&nextToken=abc123def",
    "the token expired: log in again",
    "token: unexpected end of input at line 12",
    "password: authentication failed for user ada",
    "HTTP Basic authentication is wanted, not a Bearer token",
    "Basic functions, bearer of news",
    "record_key=abc-123 key: id, natural_key=a|b",
    "sort=key, the key is id",
    "secret: no such variable",
    "field `token` is missing",
    "['token', 'name', 'value']",
    "sha256:" + HEX,
    "digest 0x" + HEX,
    "run 17 of flights: 336,776 records in 12.3 s",
    "at https://example.org:8000/@user/posts",
    "2026-11-23T00:40:00Z 12:30:45",
    "skipped_key-value tasks-1 ask-me risk-free-of-any-doubt",
    "ghost gherkin glitch hooks hives SKU12345 SGML hv.x s.isalnum()",
    "100% sure, 5%20 of it, a%2Fb%20c",
    "-u is an option, --user too",
    "mail ada@example.org or ada.b@example.org",
    "C:\\Users\\ada\\data.csv",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "give password=${DB_PASSWORD} or token=${TOKEN}",
    "traceparent: 00-" + HEX[:32] + "-" + HEX[:16] + "-01",
    "code=DE&country=IN",
    "signature of the function changed",
    "author=Ada Lovelace, authority: none, authored 2026",
    "bypass=true compass=north",
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; everything is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("kasparro")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    for handler in handlers:
        root.removeHandler(handler)
    stream = io.StringIO()
    configure_logging("INFO", service="test", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def core_of(name: str, text: str) -> list[str]:
    """What of a text must not show."""
    pieces = {"number": "4711081547", "basic header": b64encode(f"ada:{A}".encode()).decode()}
    if name in pieces:
        return [pieces[name]]
    return [A[:12], A[-12:]] if A[:12] in text else [text[-16:]]


@pytest.mark.parametrize("name", [*NAMED, *SHAPED])
def test_every_known_shape_of_a_secret_is_masked(name: str) -> None:
    text = (NAMED | SHAPED)[name]
    for around in ("{}", "it failed: {}", "({}) and more", '["{}"]', "a\n{}\nb"):
        shown = mask_text(around.replace("{}", text))
        assert [piece for piece in core_of(name, text) if piece in shown] == [], shown
        assert "***" in shown


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (NAMED["URL with password"], "https://***@example.org/x"),
        (NAMED["query"], "https://example.org/x?limit=1&token=***&page=2"),
        (NAMED["JSON"], '{"user": "ada", "client_secret": ***}'),
        (NAMED["keywords, quoted"], "host=db password=*** dbname=x"),
        (NAMED["keywords, escaped"], "password=*** host=db"),
        (NAMED["URI of several hosts"], "postgres://***@one:5432,two:5432/x"),
        (NAMED["curl"], "curl -u ada:*** https://example.org"),
        (NAMED["connection string"], "AccountName=x;AccountKey=***;EndpointSuffix=core.windows.net"),
        (SHAPED["ours"], "ksp_0123456789ab_***"),
        (SHAPED["Slack's webhook"], "https://hooks.slack.com/services/***"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@dataclass
class Holder:
    """Something whose `repr` tells too much."""

    password: str


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("name", [*NAMED, *SHAPED])
def test_no_way_into_the_log_shows_a_secret(name: str, stream: io.StringIO) -> None:
    text = (NAMED | SHAPED)[name]
    log = get_logger("kasparro.x")
    log.info("x", message=text, field=text, data=text.encode(), nested={"a": [{text: (text, {text})}]})
    log.bind(bound=text).info(text, error=ValueError(text), holder=Holder(A))
    logging.getLogger("library").warning("said %s", text)
    logging.getLogger("library").warning("said %(it)s", {"it": text}, stack_info=True)
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            error.add_note(text)
            raise RuntimeError(f"again: {text}") from error
    except RuntimeError as error:
        log.exception("y", exc_info=error)
        logging.getLogger("library").exception("z")
    for line in stream.getvalue().splitlines():
        said = json.dumps(json.loads(line), ensure_ascii=False)
        assert [piece for piece in core_of(name, text) if piece in said and "holder" not in piece] == [], line
    assert len(stream.getvalue().splitlines()) == 6


def test_a_log_call_never_fails_for_what_it_is_given(stream: io.StringIO) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    get_logger("kasparro.x").info(
        "x", loop=loop, odd=Unspeakable(), data=b"\xff\xfe", text="\udcff", long="x" * 100_000
    )
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["odd"] == "<Unspeakable>"
    assert line["data"] == "\\xff\\xfe"
    assert len(line["long"]) < 20_000
    assert line["long"].endswith("(84,000 more characters)")


def test_masking_is_linear_in_the_length_of_a_text() -> None:
    for piece in ("a", "a_", "a.", "://", "x=", "password ", "%41", "token:", '"', "\\", "eyJ", "a://a:", "--token"):
        started = process_time()
        mask_text(piece * (40_000 // len(piece)))
        assert process_time() - started < 1, piece


def test_fields_of_secret_names_are_masked_whole() -> None:
    for name in ("SLACK_WEBHOOK_URL", "webhook_url", "signature", "sig", "account_key", "signing_key"):
        assert masked(name, "anything") == "***"
