"""One JSON object a line, with the documented names, and without anything secret."""

import io
import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kasparro import __version__
from kasparro.core.log_lines import direct_lines_to, write_line
from kasparro.core.logging import configure_logging, get_logger
from kasparro.core.masking import mask_known, mask_text, masked, register_secrets, register_variable


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
    structlog.reset_defaults()
    direct_lines_to(None, stamp={})


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_the_documented_names(stream: io.StringIO) -> None:
    get_logger("kasparro.x").info("run.finished", message="two\nlines", run_id=7, source="quakes", duration_ms=1.5)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run.finished",
        "level": "info",
        "message": "two\nlines",
        "run_id": 7,
        "source": "quakes",
        "duration_ms": 1.5,
        "service": "test",
        "version": __version__,
    }


def test_an_error_has_type_message_and_stack(stream: io.StringIO) -> None:
    try:
        raise ValueError("at postgresql://u:hunter2@db/x")
    except ValueError as error:
        get_logger("kasparro.x").error("run.failed", message="no", exc_info=error)
    (line,) = lines(stream)
    assert (line["error.type"], line["error.message"]) == ("ValueError", "at postgresql://***@db/x")
    assert line["error.stack"].startswith("Traceback (most recent call last):")
    assert "hunter2" not in stream.getvalue()


def test_bound_context_is_on_every_line(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        get_logger("kasparro.x").info("a")
    get_logger("kasparro.x").info("b")
    assert [line.get("request_id") for line in lines(stream)] == ["r1", None]


def test_libraries_take_the_same_way_from_warnings_up(stream: io.StringIO) -> None:
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("token=%s at https://u:p@host/", "abcdef")
    (line,) = lines(stream)
    assert (line["event"], line["message"], line["level"]) == (
        "log.library",
        "token=*** at https://***@host/",
        "warning",
    )


def test_the_level_is_obeyed(stream: io.StringIO) -> None:
    configure_logging("ERROR", service="test", stream=stream)
    get_logger("kasparro.x").warning("quiet")
    get_logger("kasparro.x").error("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_registered_secrets_vanish_wherever_they_are(stream: io.StringIO) -> None:
    register_secrets(["s3cr3t-value", "abc"])
    get_logger("kasparro.x").info("x", message="has s3cr3t-value", nested={"deep": ["s3cr3t-value", 1]}, short="abc")
    (line,) = lines(stream)
    assert (line["message"], line["nested"], line["short"]) == ("has ***", {"deep": ["***", 1]}, "abc")


def test_registered_secrets_vanish_in_base64_too() -> None:
    register_secrets(["Zq?9~ý>>"])
    texts = [f"{user}Zq?9~ý>>{more}".encode() for user in ("", "u:", "us:", "usr:") for more in ("", "\n", "at")]
    for text in (encode(text).decode() for text in texts for encode in (b64encode, urlsafe_b64encode)):
        assert mask_text(f"sent '{text}' (x/{text.rstrip('=')}): no") == "sent '***' (x/***): no"
    assert mask_text(b64encode(b"Zq?8~").decode()) == b64encode(b"Zq?8~").decode()


def test_registered_secrets_vanish_percent_encoded_too() -> None:
    register_secrets(["k-9_ü/x y"])
    for text in ("k%2D9_%C3%BC%2fx+y", "k-9_%c3%bc/x%20y", "%6B-9_ü/x y", "k-9_ü/x y"):
        assert mask_text(f"GET /a?b={text}&c=1%25") == "GET /a?b=***&c=1%25"
    assert mask_text("k%2D8 100%") == "k%2D8 100%"


SECRET_NAMES = """
    password PGPASSWORD api_key X-API-Key apikey client_secret access_token Authorization cookie Set-Cookie private_key
    dsn
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_secret_named_fields_are_masked_whole(name: str) -> None:
    assert masked(name, "anything") == "***"
    assert masked(name, {"inner": 1}) == "***"
    assert masked("headers", {name: "anything"}) == {name: "***"}
    assert masked(name, None) is None


@pytest.mark.parametrize("name", ["record_key", "key", "tokens_per_second", "message", "source", "passes", "keys"])
def test_innocent_names_are_left_alone(name: str) -> None:
    assert masked(name, "anything") == "anything"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:pa:ss@host/db?x=1", "postgresql://***@host/db?x=1"),
        ("https://user@host/", "https://***@host/"),
        ("https://u:p@ss@host/", "https://***@host/"),
        ("https://host/mail@example", "https://host/mail@example"),
        ("https://host/?mail=a@b", "https://host/?mail=a@b"),
        ("https://host/x?api_key=abc&limit=3", "https://host/x?api_key=***&limit=3"),
        ("https://host/x?limit=3&access_token=abc", "https://host/x?limit=3&access_token=***"),
        ("host=db password=abc dbname=x", "host=db password=*** dbname=x"),
        ("Authorization: Bearer abcdefghij.k", "Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("bearer of news", "bearer of news"),
        ("use postgresql://user:password@host:port/database", "use postgresql://user:password@host:port/database"),
        ("or key=value pairs such as host=db", "or key=value pairs such as host=db"),
        ("two https://a:b@c and ftp://d:e@f", "two https://***@c and ftp://***@f"),
        ("https://host/?token=abc: 404", "https://host/?token=***: 404"),
        ("(see https://host/?a=1&key=a:b.c)., or", "(see https://host/?a=1&key=***)., or"),
        ("give password=... or password=:", "give password=*** or password=***"),
        ("nothing secret: 17:30, a@b.c", "nothing secret: 17:30, a@b.c"),
    ],
)
def test_credentials_inside_text_are_masked(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_a_variable_is_shown_in_place_of_its_value_in_messages_and_not_in_results() -> None:
    register_variable("FOLDER", 'my "own')
    assert mask_text("""my "own/x.csv, 'my "own', "my \\"own" """) == """${FOLDER}/x.csv, '${FOLDER}', "${FOLDER}" """
    assert mask_text('enemy "own, my "owner') == 'enemy "own, my "owner'
    assert mask_known('my "own/x.csv') == 'my "own/x.csv'


@pytest.mark.parametrize("value", ["abc", "true", "Null", "12345", "10.5", "     "])
def test_trivial_values_of_variables_mask_nothing(value: str) -> None:
    register_variable("ANY", value)
    assert mask_text(f"before {value} after") == f"before {value} after"


def test_fields_of_known_names_keep_words_that_a_variable_holds_too(stream: io.StringIO) -> None:
    register_variable("STAGE", "quakes")
    get_logger("kasparro.x").info("run.started", source="quakes", message="quakes")
    (line,) = lines(stream)
    assert (line["source"], line["message"]) == ("quakes", "${STAGE}")


def test_lines_written_past_the_chain_look_like_the_others(stream: io.StringIO) -> None:
    assert write_line("kasparro.test", "http.request", "GET /x \x1b[31m é", {"http_status": 200, "request_id": "r1"})
    get_logger("kasparro.test").info("http.request", message="GET /x", http_status=200, request_id="r1")
    direct, usual = map(json.loads, stream.getvalue().splitlines())
    assert direct.keys() == usual.keys()
    assert {name: type(value) for name, value in direct.items()} == {n: type(v) for n, v in usual.items()}
    assert (direct["message"], direct["level"], direct["timestamp"][-1]) == (
        "GET /x \x1b[31m é",
        "info",
        "Z",
    )
    assert "\x1b" not in stream.getvalue()


def test_lines_past_the_chain_obey_the_level(stream: io.StringIO) -> None:
    configure_logging("WARNING", service="test", stream=stream)
    assert write_line("kasparro.test", "http.request", "GET /x", {})
    assert stream.getvalue() == ""
