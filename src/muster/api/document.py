# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: what Litestar reads off the handlers, and every refusal on top of it."""

from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

_OPEN = ("/boot/start.ipxe", "/boot/ipxe", "/agent/agent.pyz", "/healthz")

_MEANINGS = {
    400: "A field is wrong; `detail` and `wrong` name it.",
    401: "The key, token or nonce is missing or unknown.",
    403: "The key, token or nonce is known and does not open this.",
    404: "There is no such thing; `detail` names it.",
    409: "It contradicts the present state; `detail` says how.",
    413: "The body is too large; `detail` states the limit.",
    429: "Too many wrong passwords from this address.",
}

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "The body of every answer from 400 on.",
    "required": ["status_code", "detail"],
    "properties": {
        "status_code": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, where, and the remedy."},
        "wrong": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "why"],
                "properties": {"field": {"type": "string"}, "why": {"type": "string"}},
            },
        },
    },
}


class Document(JsonRenderPlugin):
    """Adds to each operation the refusals that it can answer with."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        schemas = openapi_schema["components"].setdefault("schemas", {})
        if "Problem" not in schemas:
            schemas["Problem"] = PROBLEM
            for path, operations in openapi_schema["paths"].items():
                for method, operation in operations.items():
                    operation["responses"] |= _refusals(path, method, operation)
        return super().render(request, openapi_schema)


def _refusals(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    return {
        str(status): {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in _statuses(path, method, operation)
    }


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    found = [400]
    if path not in _OPEN:
        found += [401, 403]
    if path.startswith("/api/v1/") and "{" in path:
        found.append(404)
        if method != "get":
            found.append(409)
    if "requestBody" in operation:
        found.append(413)
    if path.endswith("/login"):
        found.append(429)
    return found
