"""`GET /docs` and `/openapi.json`: whole, from this server alone, and true to OpenAPI 3.1."""

import hashlib
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from kasparro.api.app import create_app, create_routes
from kasparro.api.openapi import describe
from kasparro.api.openapi_text import PROBLEMS, body_examples
from kasparro.api.options import ApiOptions
from kasparro.core.database import Pool

SHIPPED = {  # swagger-ui-dist 5.35.0, as it was published
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
    "favicon-32x32.png": "3ed612f41e050ca5e7000cad6f1cbe7e7da39f65fca99c02e99e6591056e5837",
}
PROBES = {"GET /health/live", "GET /health/ready"}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(create_routes(ApiOptions()))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method.upper()} {path}", item[method]


async def test_every_file_that_the_page_names_is_served_for_a_long_time(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {name.rpartition("/")[2] for name in names} == {*SHIPPED, "docs.js", "openapi.json"}
    for name in names:
        answer = await client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert len(answer.content) > 100
        if name != "openapi.json":
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_the_page_has_no_script_of_its_own_and_asks_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    script = next(name for name in re.findall(r'src="([^"]+)"', page.text) if name.endswith("docs.js"))
    for text in (page.text, (await client.get(f"/{script}")).text, policy):
        assert "//" not in re.sub(r"^// .*", "", text, flags=re.MULTILINE)
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?! defer src=)|<style|\son\w+=|\sstyle=|javascript:", page.text) == []


async def test_files_are_compressed_for_those_who_can_read_that(client: httpx.AsyncClient) -> None:
    script = next(name for name in re.findall(r'src="([^"]+)"', (await client.get("/docs")).text) if "bundle" in name)
    zipped = await client.get(f"/{script}", headers={"accept-encoding": "gzip"})
    plain = await client.get(f"/{script}", headers={"accept-encoding": "identity"})
    assert (zipped.headers["content-encoding"], zipped.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content
    assert int(zipped.headers["content-length"]) < int(plain.headers["content-length"]) / 3


@pytest.mark.parametrize("path", ["0/docs.js", "0/..%2f..%2fapp.py", "..%2f..%2f/app.py"])
async def test_other_files_and_other_versions_are_not_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/docs/assets/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_description_needs_no_key_and_no_parameter(pool: Pool, path: str) -> None:
    transport = httpx.ASGITransport(create_app(pool, ApiOptions(read_key_required=True)))
    async with httpx.AsyncClient(transport=transport, base_url="http://kasparro") as client:
        assert (await client.get("/data")).status_code == 401
        assert (await client.get(path)).status_code == 200
        assert (await client.get(f"{path}?url=//example.org")).status_code == 400


async def test_the_document_is_that_of_the_docs(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document


def test_shipped_files_are_those_that_were_published_with_their_licence() -> None:
    folder = resources.files("kasparro.api") / "static" / "swagger_ui"
    for name, digest in SHIPPED.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "Copyright" in (folder / "NOTICE").read_text(encoding="utf-8")


def test_the_document_is_openapi_31(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_says_what_may_go_wrong_and_in_which_form(document: dict[str, Any]) -> None:
    names: list[str] = []
    for name, operation in operations(document):
        names.append(operation["operationId"])
        assert operation["summary"], name
        assert operation["description"], name
        assert len(operation["tags"]) == 1, name
        assert name in PROBES or {"400", "401", "429"} <= operation["responses"].keys(), name
        assert "security" in operation, name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
    assert len(names) == len(set(names))
    assert {tag for _, operation in operations(document) for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }
    assert "HTTPValidationError" not in str(document)
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_reading_shows_a_key_as_optional_only_where_it_is(document: dict[str, Any]) -> None:
    assert document["paths"]["/data"]["get"]["security"] == [{"key": []}, {}]
    guarded = describe(create_routes(ApiOptions(read_key_required=True)))
    assert guarded["paths"]["/data"]["get"]["security"] == [{"key": []}]
    assert guarded["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_examples_are_what_they_are_examples_of(document: dict[str, Any]) -> None:
    """Every example of a body, held against its own schema."""
    known = {operation["operationId"] for _, operation in operations(document)}
    assert body_examples().keys() <= known
    seen = 0
    responses = [*document["components"]["responses"].values()]
    responses += [response for _, operation in operations(document) for response in operation["responses"].values()]
    for body in (body for response in responses for body in response.get("content", {}).values()):
        if "example" in body:
            seen += 1
            Draft202012Validator({**body["schema"], "components": document["components"]}).validate(body["example"])
    assert seen >= len(body_examples())


def test_codes_of_example_problems_exist() -> None:
    from kasparro.core import errors

    codes = {item.code for item in vars(errors).values() if isinstance(item, type) and hasattr(item, "code")}
    assert {code for _, code, _ in PROBLEMS.values()} - codes == set()
