# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: what Litestar reads off the handlers, and every refusal on top of it."""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin

from muster.api.bmcs import Medium, NewScan
from muster.api.bulk import Acting
from muster.api.choices import Choosing
from muster.api.clashes import Deciding, Splitting
from muster.api.fields import LENGTH, NAME, OF_MACHINE, listed
from muster.api.hosts import Chosen, NewHost, NewInstance
from muster.api.machines import Changes, Denial
from muster.api.manifest import Applying, Importing
from muster.api.people import Credentials, NewKey, NewUser, UserChanges
from muster.api.profiles import Expected, Golden
from muster.api.rules import Ruled
from muster.api.scripts import Upload
from muster.api.tags import Saying, Tagging, Writing
from muster.api.tests import Commissioning, Judgement, Remark
from muster.power import drivers
from muster.wire.events import Batch, Event, PhaseReport
from muster.wire.hello import Evidence, Hello, Nic

_OPEN = ("/boot/start.ipxe", "/boot/ipxe", "/agent/agent.pyz", "/healthz")

# Litestar calls every body required, also one that has a default.
_BODY_OPTIONAL = (
    "/api/v1/machines/{reference}/commission",
    "/api/v1/machines/{reference}/test",
)

# Signing in has no key yet; what a key is told once is kept nowhere.
_NEVER_KEPT = ("/api/v1/login", "/api/v1/keys")

# Paths that end with a parameter, and name nothing that GET shows.
_NO_VERSION = ("/api/v1/keys/", "/api/v1/bulk/")

# No part of these paths, but a parameter names what may not be there.
_NAMING = ("/api/v1/operations",)

# What is made has a name or an address that something else may have.
_MAKING = ("/api/v1/hosts", "/api/v1/keys", "/api/v1/machines", "/api/v1/users")

_MEANINGS = {
    400: "A field is wrong; `detail` and `wrong` name it.",
    401: "The key, token or nonce is missing or unknown.",
    403: "The key, token or nonce is known and does not open this.",
    404: "There is no such thing; `detail` names it.",
    409: "It contradicts the present state; `detail` says how.",
    412: "The thing is not in the version that If-Match names, or is there against If-None-Match.",
    413: "The body is too large; `detail` states the limit.",
    422: "Idempotency-Key was used for another request.",
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


_MESSAGES: dict[str, type] = {
    "Acting": Acting,
    "Applying": Applying,
    "Batch": Batch,
    "Changes": Changes,
    "Choosing": Choosing,
    "Chosen": Chosen,
    "Commissioning": Commissioning,
    "Credentials": Credentials,
    "Deciding": Deciding,
    "Denial": Denial,
    "Evidence": Evidence,
    "Expected": Expected,
    "Golden": Golden,
    "Hello": Hello,
    "Importing": Importing,
    "Judgement": Judgement,
    "Medium": Medium,
    "NewHost": NewHost,
    "NewInstance": NewInstance,
    "NewKey": NewKey,
    "NewUser": NewUser,
    "NewScan": NewScan,
    "Nic": Nic,
    "PhaseReport": PhaseReport,
    "Ruled": Ruled,
    "Saying": Saying,
    "Splitting": Splitting,
    "Tagging": Tagging,
    "Remark": Remark,
    "Upload": Upload,
    "Writing": Writing,
    "UserChanges": UserChanges,
    "wire_events_Event": Event,
}

_TEXT = {"schema": {"type": "string"}}
_FILES = {"/api/v1/manifest/export": {"text/csv": _TEXT, "application/json": {"schema": {}}}}
_HEADERS = {
    "Idempotency-Key": "The same key again, within 24 h: the same answer, and nothing is done.",
    "If-Match": "ETags, or *: change the thing only if it is in this version (412).",
    "If-None-Match": "*: make it only if it is not there (412).",
}

_SCHEMAS = "#/components/schemas/"
_WITHOUT_NUL = "^[^\\u0000]*$"


class Document(JsonRenderPlugin):
    """Adds the limits of every message, and to each operation the refusals it can answer with."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document as JSON."""
        schemas = openapi_schema["components"].setdefault("schemas", {})
        if "Problem" not in schemas:
            schemas["Problem"] = PROBLEM
            _add_limits(schemas)
            narrowed = _narrowed(request)
            for path, operations in openapi_schema["paths"].items():
                for method, operation in operations.items():
                    for parameter in operation.get("parameters", ()):
                        _without_nul(parameter["schema"])
                        if parameter["name"] == NAME:
                            parameter["schema"]["pattern"] = "^$|" + _some_of(OF_MACHINE)
                    if path in _BODY_OPTIONAL:
                        operation["requestBody"]["required"] = False
                    if path in _FILES:
                        operation["responses"]["200"]["content"] = _FILES[path]
                    _one_or_more(operation["responses"].get("200", {}))
                    taken = [_header(name) for name in _headers(path, method)]
                    if method == "get" and path in narrowed:
                        taken.append(_fields(narrowed[path]))
                        _or_some(operation["responses"]["200"]["content"], schemas)
                    if taken:
                        operation.setdefault("parameters", []).extend(taken)
                    operation["responses"] |= _refusals(path, method, operation)
        return super().render(request, openapi_schema)


def _versioned(path: str, method: str) -> bool:
    """True below what GET shows (api/versions.py)."""
    if not path.startswith("/api/v1/") or "{" not in path:
        return False
    return method != "get" and not path.startswith(_NO_VERSION)


def _headers(path: str, method: str) -> list[str]:
    """Those that an operation takes."""
    found = []
    if path.startswith("/api/v1/") and method != "get" and path not in _NEVER_KEPT:
        found.append("Idempotency-Key")
    if _versioned(path, method):
        found.append("If-Match")
        if method == "put":
            found.append("If-None-Match")
    return found


def _header(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "Idempotency-Key":
        schema |= {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    return {"name": name, "in": "header", "required": False, "deprecated": False,
            "schema": schema, "description": _HEADERS[name]}  # fmt: skip


def _narrowed(request: Request[Any, Any, Any]) -> dict[str, list[str]]:
    """The fields of each list's entries, by path."""
    return {
        route.path_format: known
        for route in request.app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and (known := listed(handler))
    }


def _fields(known: list[str]) -> dict[str, Any]:
    told = f"Only these, with commas: {', '.join(known)}."
    return {"name": "fields", "in": "query", "required": False, "deprecated": False,
            "schema": {"type": "string", "maxLength": LENGTH, "pattern": _some_of(known)},
            "description": told}  # fmt: skip


def _or_some(contents: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A list's entries are whole, or have what `fields` names."""
    for content in contents.values():
        answered = content["schema"]
        if "$ref" in answered:
            answered = schemas[_named(answered)]["properties"]["items"]
        whole = answered["items"]
        if "$ref" in whole:
            some = {**whole, "$ref": f"{_SCHEMAS}Some{_named(whole)}"}
            known = {k: v for k, v in schemas[_named(whole)].items() if k != "required"}
            schemas[_named(some)] = known | {"title": _named(some), "minProperties": 1}
            answered["items"] = {"anyOf": [whole, some]}


def _named(reference: dict[str, str]) -> str:
    return reference["$ref"].removeprefix(_SCHEMAS)


def _some_of(known: Sequence[str]) -> str:
    one = f"({'|'.join(map(re.escape, known))})"
    return f"^{one}(,{one})*$"


def _one_or_more(response: dict[str, Any]) -> None:
    """An empty page of machines is one of machines with chosen fields, too."""
    for content in response.get("content", {}).values():
        if "oneOf" in content.get("schema", {}):
            content["schema"]["anyOf"] = content["schema"].pop("oneOf")


def _add_limits(schemas: dict[str, Any]) -> None:
    for name, message in _MESSAGES.items():
        properties = schemas[name]["properties"]
        for field in fields(message):
            schema = properties[field.name]
            _without_nul(schema)
            if "most" in field.metadata:
                for one in schema.get("oneOf", [schema]):
                    _limit(one, field.metadata["most"])
    for secret in ("nonce", "key"):
        schemas["Hello"]["properties"][secret]["minLength"] = 1
    status = schemas["wire_events_Event"]["properties"]["exit_status"]
    status.update(minimum=-(2**31), maximum=2**31 - 1)
    schemas["PowerSwitch"] = {
        "title": "PowerSwitch",
        "type": "object",
        "description": schemas["PowerSwitch"].get("description", ""),
        "oneOf": [_driver(name) for name in drivers.names()],
    }


def _limit(schema: dict[str, Any], most: int) -> None:
    if schema["type"] in ("array", "string"):
        schema["maxItems" if schema["type"] == "array" else "maxLength"] = most


def _without_nul(schema: dict[str, Any]) -> None:
    if schema.get("type") == "string" and not {"enum", "format"} & schema.keys():
        schema.setdefault("pattern", _WITHOUT_NUL)


def _driver(name: str) -> dict[str, Any]:
    """A driver with its parameters, as `drivers.check` takes them."""
    known = drivers.load(name).PARAMETERS
    parameters = {key: _parameter(parameter) for key, parameter in known.items()}
    needed = [key for key, parameter in known.items() if parameter.required]
    return {
        "required": ["driver", "parameters"] if needed else ["driver"],
        "properties": {
            "driver": {"type": "string", "const": name},
            "parameters": {
                "type": "object",
                "properties": parameters,
                "required": needed,
                "additionalProperties": False,
            },
        },
    }


def _parameter(parameter: drivers.Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "description": parameter.help}
    if parameter.secret:
        schema["writeOnly"] = True
    if parameter.choices:
        return schema | {"enum": list(parameter.choices)}
    if parameter.pem:
        return schema | {"pattern": f"^({drivers.PEM})?$"}
    return schema | {"pattern": "^[ -~]*$", "minLength": int(parameter.required)}


def _refusals(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    return {
        str(status): {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Problem"}}},
        }
        for status in _statuses(path, method, operation)
    }


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    found = {400}
    if path not in _OPEN:
        found |= {401, 403}
    if path in _MAKING and method == "post":
        found.add(409)
    named = path.startswith(("/agent/secrets/", "/api/v1/")) and "{" in path
    if named or path in _NAMING:
        found.add(404)
    if _versioned(path, method):
        found |= {409, 412}
    if "Idempotency-Key" in _headers(path, method):
        found |= {409, 422}
    if "requestBody" in operation:
        found.add(413)
    if path.endswith("/login"):
        found.add(429)
    return sorted(found)
