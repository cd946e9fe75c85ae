"""The description of the API (OpenAPI 3.1): what FastAPI writes, and what it cannot know of how we answer.

FastAPI believes that a malformed request is a 422 in a form of its own and that every body is plain JSON. Ours is a
400, and every error is a problem of RFC 9457.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from kasparro import __version__
from kasparro.api.dependencies import MAX_ID
from kasparro.api.errors import PROBLEM_MEDIA_TYPE
from kasparro.api.gate import PROBES
from kasparro.api.openapi_text import DESCRIPTION, PARAMETER_EXAMPLES, PROBLEMS, TAGS, body_examples

SUMMARY: Final = "Records from APIs, CSV files and feeds, one table, exactly once."
_Object = dict[str, Any]
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_ANY: Final = (400, 401, 414, 429, 431, 500)
"""What all but probes may answer: an unknown parameter, a bad key, too much, too often, and what nobody expected."""
_LIMITS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
"""Pydantic's names for limits of a value that is checked beforehand, and those of JSON Schema."""
_HEADERS: Final[_Object] = {
    "Request-ID": {"description": "Names this request in the log.", "schema": {"type": "string"}, "required": True},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}, "required": True},
    "WWW-Authenticate": {"description": "What kind of key to send.", "schema": {"type": "string"}, "required": True},
}


def operation_id(route: APIRoute) -> str:
    """The function's name: what a generated client calls its method."""
    return route.name


def describe(app: FastAPI) -> _Object:
    """The document of an application; made once and kept."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="kasparro",
            version=__version__,
            summary=SUMMARY,
            description=DESCRIPTION,
            contact={"name": "The kasparro maintainers"},
            license_info={"name": "MIT", "identifier": "MIT"},
            servers=[{"url": "/", "description": "The server that this document comes from."}],
            routes=app.routes,
        )
        app.openapi_schema = _corrected(document, read_key_required=app.state.options.read_key_required)
    return app.openapi_schema


def _corrected(document: _Object, *, read_key_required: bool) -> _Object:
    components: _Object = document.setdefault("components", {})
    for name in _FRAMEWORKS_OWN:
        components.get("schemas", {}).pop(name, None)
    operations = list(_operations(document))
    used: set[int] = set()
    for path, method, operation in operations:
        _correct_parameters(operation)
        used |= _correct_responses(operation, () if path in PROBES else _ANY)
        _correct_security(operation, open_to_all=method == "get" and not read_key_required)
    components["headers"] = _HEADERS
    components["responses"] = {_response_name(status): _problem_response(status) for status in sorted(used)}
    tags = {tag for _, _, operation in operations for tag in operation.get("tags", [])}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items() if name in tags]
    return document


def _operations(document: _Object) -> Iterator[tuple[str, str, _Object]]:
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in _METHODS if method in item)


def _correct_parameters(operation: _Object) -> None:
    """A parameter in an address is never null: it is there or not. Limits get the names that JSON Schema knows."""
    for parameter in operation.get("parameters", []):
        schema: _Object = parameter["schema"]
        choices = [item for item in schema.get("anyOf", []) if item != {"type": "null"}]
        if len(choices) == 1:
            del schema["anyOf"]
            schema.update(choices[0])
        for ours, theirs in _LIMITS.items():
            if ours in schema:
                schema[theirs] = schema.pop(ours)
        if parameter["in"] == "path" and schema.get("type") == "integer":  # beyond there is nothing: a 404, not a 400
            schema.update(minimum=0, maximum=MAX_ID)
        schema.pop("description", None)  # the parameter's own says it
        if parameter["name"] in PARAMETER_EXAMPLES:
            example = PARAMETER_EXAMPLES[parameter["name"]]
            many = schema.get("type") == "array"
            parameter["example"] = [str(example)] if many and isinstance(example, str | int) else example


def _correct_security(operation: _Object, *, open_to_all: bool) -> None:
    """Where no key is asked for, that is said; where one is welcome but not needed, so is the choice of none."""
    security: list[_Object] = operation.setdefault("security", [])
    if security and {} not in security and open_to_all:
        security.append({})


def _correct_responses(operation: _Object, also: tuple[int, ...]) -> set[int]:
    """Give errors their media type, and name those that routes do not. Returns the statuses of all problems."""
    responses: _Object = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    problems = {int(status) for status, response in responses.items() if _is_problem(response)} | set(also)
    responses.update({str(status): {"$ref": f"#/components/responses/{_response_name(status)}"} for status in problems})
    for status, response in responses.items():
        if "$ref" not in response:
            response.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/Request-ID"}
        if status == "200":
            _add_example(operation["operationId"], response)
    operation["responses"] = dict(sorted(responses.items()))
    return problems


def _is_problem(response: _Object) -> bool:
    return "#/components/schemas/Problem'" in str(response.get("content"))


def _add_example(operation: str, response: _Object) -> None:
    if response["description"] == "Successful Response":
        response["description"] = "What was asked for."
    body = response.get("content", {}).get("application/json")
    if body is not None and operation in body_examples():
        body["example"] = body_examples()[operation]


def _response_name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def _problem_response(status: int) -> _Object:
    description, code, detail = PROBLEMS[status]
    headers = {"X-Request-ID": {"$ref": "#/components/headers/Request-ID"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WWW-Authenticate"}
    example = {
        "type": f"urn:kasparro:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": "/data",
        "code": code,
        "request_id": "5f0c7b1e4d2a4c6f9a3e8b7d6c5a4f3e",
    }
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": description, "headers": headers, "content": content}
