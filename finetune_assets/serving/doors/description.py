"""What /openapi.json says about the doors: which role each operation needs, and every refusal's shape."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from finetune_assets.serving.doors.roles import Need, need_of
from finetune_assets.serving.problems import ApiProblem

SCHEME = "key"
_PROBLEM = "Problem"
_OPENAI_ERROR = "OpenAIError"
_SCHEMAS: dict[str, Any] = {
    _PROBLEM: {
        "title": _PROBLEM,
        "description": "Problem details (RFC 9457) with what to do.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "mend"],
        "additionalProperties": False,
        "properties": {
            "type": {"type": "string", "pattern": "^urn:finetune:[a-z0-9_]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "minLength": 1},
            "mend": {"type": "string", "minLength": 1},
            "field": {"type": "string"},
        },
    },
    _OPENAI_ERROR: {
        "title": _OPENAI_ERROR,
        "description": "OpenAI's error object.",
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "additionalProperties": False,
                "properties": {
                    "message": {"type": "string", "minLength": 1},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string", "pattern": "^[a-z0-9_]+$"},
                },
            }
        },
    },
}
_ALWAYS = {400: "Not a usable request.", 403: "A foreign Host or Origin, or a key without the role."}
_KEYED = {401: "No key, or a wrong one.", 429: "More requests than the caller's limit."}
_BODY = {
    404: "The task or what the body names is unknown.",
    408: "The body did not arrive in time.",
    409: "It contradicts what is there already.",
    413: "The body is too large.",
    422: "The body cannot be used.",
}
_WORK = {500: "The release failed.", 503: "Not now; see Retry-After.", 504: "Not answered in time."}


def describe(app: FastAPI) -> None:
    """Make an application's OpenAPI document tell roles and refusals; it is made once, at the first request."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change the document


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_SCHEMAS)
    parts["securitySchemes"] = {
        SCHEME: {"type": "http", "scheme": "bearer", "description": "A key of `finetune keys create`."}
    }
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            need = need_of(route)
            for verb in sorted(route.methods or ()):
                operation = document["paths"][route.path_format][verb.lower()]
                operation["security"] = _security(need)
                _add_refusals(operation, route.path_format, need)
    return document


_ABOUT = (
    "Without a key only predictions are given, and only to callers on loopback. Every other operation names the role "
    "that its key needs. A wrong key gets 401 everywhere."
)


def _security(need: Need) -> list[dict[str, list[str]]]:
    if need.role is None:
        return []
    keyed = {SCHEME: [str(need.role)]}
    # An empty requirement means that the operation can do without: from loopback.
    return [keyed, {}] if need.or_loopback or need.role == "predict" else [keyed]


def _add_refusals(operation: dict[str, Any], path: str, need: Need) -> None:
    known = {**_ALWAYS, 401: _KEYED[401]}
    known[503] = _WORK[503]
    if need.role is not None:
        known |= _KEYED
    if "requestBody" in operation:
        known |= _BODY | _WORK
    name = _OPENAI_ERROR if ApiProblem.is_openai(path) else _PROBLEM
    kind = "application/json" if ApiProblem.is_openai(path) else "application/problem+json"
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    responses = operation.setdefault("responses", {})
    # FastAPI's own word for a body that is not valid; the gateway answers in another shape.
    responses.pop("422", None)
    for status, text in sorted(known.items()):
        headers = {"WWW-Authenticate": {"schema": {"type": "string"}}} if status == 401 else {}
        headers |= {"Retry-After": {"schema": {"type": "integer"}}} if status == 429 else {}
        answer = {"description": text, "content": content} | ({"headers": headers} if headers else {})
        # What a route says of a status itself stands.
        responses.setdefault(str(status), answer)
