"""Bodies of API answers: exact numbers, single records that are wrong, and errors that show what came instead."""

import base64
from decimal import Decimal
from typing import Any

import pytest

from kasparro.core.errors import SourceError
from kasparro.ingestion.source import Defect, Payload, RecordRejected, SourceRecord
from kasparro.ingestion.sources.api.documents import parse_document
from kasparro.ingestion.sources.api.records import find_records, raw_records
from kasparro.ingestion.sources.api.search import Search
from kasparro.ingestion.transform import Transformer

URL = "https://api.example.org/items"


def parse(body: bytes, content_type: str = "application/json") -> Any:
    return parse_document(body, URL, content_type).value


def read(body: bytes, path: str | None = None, content_type: str = "application/json") -> list[SourceRecord]:
    document = parse_document(body, URL, content_type)
    items = find_records(document, Search(path) if path else None, URL)
    return raw_records(document, items, f"{URL}#")


def key_of(payload: Payload) -> str:
    if "id" not in payload:
        raise RecordRejected(Defect("key_missing", "no id", "id"))
    return str(payload["id"])


def outcomes(body: bytes) -> dict[str, str]:
    """By locator, what the transform makes of each record: `ok`, or the first reject code."""
    transformer = Transformer(lambda payload: {"record_key": key_of(payload)}, key_of)
    batch = transformer.judge(read(body), 1)
    found = {accepted.locator: "ok" for accepted in batch.accepted}
    return found | {rejected.locator: rejected.defects[0].code for rejected in batch.rejected}


def refusal(body: bytes, content_type: str = "application/json", path: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read(body, path, content_type)
    return caught.value.message


def test_numbers_are_exact() -> None:
    body = (
        b'{"a": 1.10, "b": 0.1, "c": 12345678901234567890.123456789012345678901, "d": 1e-30,'
        b' "e": 123456789012345678901}'
    )
    assert parse(body) == {
        "a": Decimal("1.10"),
        "b": Decimal("0.1"),
        "c": Decimal("12345678901234567890.123456789012345678901"),
        "d": Decimal("1E-30"),
        "e": 123456789012345678901,
    }
    assert str(parse(body)["a"]) == "1.10"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"1e400000", "unstorable"),
        (b"1e99999999999999999999", "unstorable"),
        (b"-1e99999999999999999999", "unstorable"),
        (b"NaN", "unstorable"),
        (b"-Infinity", "unstorable"),
        (b'"a\\u0000b"', "unstorable"),
        (b'"\\ud800"', "unstorable"),
        (b'{"a": 1, "a": 2}', "duplicate_keys"),
        (b'[{"x": {"a": 1, "a": {"b": 1, "b": 2}}}]', "duplicate_keys"),
        (b'"\xff\xfe"', "bad_encoding"),
        (b'{"\xe9": 1}', "bad_encoding"),
        (b"[" * 900 + b"]" * 900, "unstorable"),
    ],
)
def test_value_that_cannot_be_stored_costs_its_record_only(value: bytes, code: str) -> None:
    body = b'[{"id": 1}, {"id": 2, "v": ' + value + b'}, {"id": 3, "v": 1.50}]'
    found = outcomes(body)
    assert found == {f"{URL}#1": "ok", f"{URL}#2": code, f"{URL}#3": "ok"}


def test_integer_of_five_thousand_digits_stays_exact() -> None:
    assert parse(b"[" + b"1" * 5000 + b"]") == [Decimal("1" * 5000)]


def test_record_with_repeated_names_is_kept_as_it_came() -> None:
    record = read(b'[{"id": 1, "price": 1.10, "price": 2.20}]')[0]
    assert base64.b64decode(record.payload["_unstorable"]) == b'{"id":1,"price":1.10,"price":2.20}'
    assert [(defect.code, defect.field) for defect in record.defects] == [("duplicate_keys", "price")]


def test_repeated_names_outside_of_records_fail_the_page() -> None:
    message = refusal(b'{"data": [{"id": 1}], "data": [{"id": 2}]}', path="data")
    assert message == f'{URL}: the name "data" stands more than once in the page'
    assert "stands more than once" in refusal(b'{"data": [{"id": 1}], "meta": {"next": "a", "next": "b"}}', path="data")


def test_thousands_of_repeated_names_are_judged_in_no_time() -> None:
    item = '{"a": {"b": 1, "b": {"c": 1, "c": 2}}, "a": {"b": 1, "b": 2}}'
    body = f"[{', '.join([item] * 3000)}]".encode()
    assert {defect.code for record in read(body) for defect in record.defects} == {"duplicate_keys"}


def test_text_in_other_encodings_is_read() -> None:
    value = '[{"name": "Zoë"}]'
    assert parse(value.encode("utf-16")) == [{"name": "Zoë"}]
    assert parse(value.encode("utf-8-sig")) == [{"name": "Zoë"}]
    assert parse(value.encode("latin-1"), "application/json; charset=ISO-8859-1") == [{"name": "Zoë"}]


@pytest.mark.parametrize("charset", ["nonsense", "base64", "utf-8", "ascii"])
def test_wrong_charset_marks_the_record_at_fault(charset: str) -> None:
    records = read('[{"id": 1, "name": "Zoë"}, {"id": 2}]'.encode("latin-1"), None, f"text/json; charset={charset}")
    assert [[defect.code for defect in record.defects] for record in records] == [["bad_encoding"], []]


def test_wrong_content_type_of_real_json_does_not_matter() -> None:
    assert read(b'[{"id": 1}]', None, "text/html")[0].payload == {"id": 1}


def test_html_says_so_with_its_beginning_and_place() -> None:
    message = refusal(b"<!DOCTYPE html>\n<title>Sign in</title>" + b"x" * 500, "text/html; charset=utf-8")
    assert message.startswith(
        f"{URL}: HTML instead of JSON at line 1, column 1 (character 0); content type: text/html; charset=utf-8; "
        "it begins with: <!DOCTYPE html> <title>Sign in</title>x"
    )
    assert len(message.partition("it begins with: ")[2]) == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'[{"id": 1},\n {"id": 2', "the JSON is cut off: Expecting ',' delimiter at line 2, column 10 (character 21)"),
        (b'[{"id": "ab', "the JSON is cut off: Unterminated string starting at"),
        (b'[{"id": 1}', "the JSON is cut off"),
        (b'[{"id": }]', "not JSON: Expecting value at line 1, column 9"),
        (b'[{"id": 1}] tail', "not JSON: Extra data at line 1, column 13"),
        (b"<?xml version='1.0'?><rss/>", "XML instead of JSON"),
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"[" * 100_000, "the JSON is nested too deep"),
        (b"\x00" * 100, "not JSON"),
        (b"\x1f\x8b\x08garbage", "not JSON"),
        (b"id,name\n1,a\n", "not JSON"),
        (b"\xff\xfe\x00\xd8\x00", "the body is no text"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(body: bytes, reason: str) -> None:
    message = refusal(body)
    assert message.startswith(f"{URL}: ")
    assert reason in message


def test_secrets_are_masked_in_what_is_shown() -> None:
    assert "hunter22" not in refusal(b"<a href='https://x.org/?api_key=hunter22&b=1'>")


def test_document_without_a_path_is_a_list_or_one_record() -> None:
    assert [record.payload for record in read(b'[{"id": 1}, {"id": 2}]')] == [{"id": 1}, {"id": 2}]
    assert [record.payload for record in read(b'{"id": 1}')] == [{"id": 1}]
    assert read(b"[]") == []


def test_records_at_an_expression() -> None:
    body = b'{"data": {"items": [{"id": 1, "on": true}, {"id": 2, "on": false}]}}'
    assert [record.payload["id"] for record in read(body, "data.items")] == [1, 2]
    assert [record.payload["id"] for record in read(body, "data.items[?on]")] == [1]
    assert [record.locator for record in read(body, "data.items")] == [f"{URL}#1", f"{URL}#2"]


def test_explicit_null_is_an_empty_list() -> None:
    assert read(b'{"data": null}', "data") == []


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b'{"error": "denied", "code": 7}', "data", "no records at 'data'; an object with the keys error, code"),
        (b'{"data": {"rows": []}}', "data", "no list of records at 'data'; an object with the keys rows"),
        (b'{"data": "none"}', "data", "no list of records at 'data'; str none"),
        (b'{"data": [1, 2]}', "data", "no objects in the list at 'data', but int 1"),
        (b"[[1, 2]]", None, "no objects in the list at the top, but a list of 2"),
        (b'"text"', None, "no list of records at the top; str text"),
        (b"null", None, "no records at the top; null"),
        (b"{}", "a.b", "no records at 'a.b'; an empty object"),
        (b'{"data": {"a": 1}}', "keys(data) | @[0].x", "no records at"),
        (b'{"data": 1}', "keys(data)", "'keys(data)' cannot be evaluated"),
    ],
)
def test_missing_records_show_what_is_there(body: bytes, path: str | None, reason: str) -> None:
    assert reason in refusal(body, path=path)


def test_item_that_is_no_object_is_a_reject_among_objects() -> None:
    records = read(b'[{"id": 1}, null, "x"]')
    assert [record.payload for record in records] == [{"id": 1}, {"_value": None}, {"_value": "x"}]
    codes = [[defect.code for defect in record.defects] for record in records]
    assert codes == [[], ["not_an_object"], ["not_an_object"]]
