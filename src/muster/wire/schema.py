# SPDX-License-Identifier: Apache-2.0
"""JSON Schema (draft 2020-12) of the resources document, made from its dataclasses.

It permits exactly what resources.py reads, unknown keys included. `python3 -m muster.wire.schema`
prints it; docs/resources.schema.json is that output.
"""

import json
import sys
import types

from muster.wire.extra import EXTRA_SCHEMA, Extra
from muster.wire.hardware import API_VERSION
from muster.wire.resources import NUMBER_LIMIT, Document
from muster.wire.shape import fields_of

_SCALARS: dict[object, dict[str, object]] = {
    object: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0, "maximum": NUMBER_LIMIT},
    float: {"type": "number", "minimum": -NUMBER_LIMIT, "maximum": NUMBER_LIMIT},
}


def json_schema() -> dict[str, object]:
    """The schema, as a JSON object; every shape is one of its `$defs`."""
    shapes: dict[str, dict[str, object]] = {}
    top = _shape(Document, shapes)
    properties = top["properties"]
    assert isinstance(properties, dict)
    properties["api_version"] = {"const": API_VERSION}
    # An extra of another schema is kept, and not looked into.
    properties["extra"] = {
        "if": {
            "type": "object",
            "properties": {"schema": {"const": EXTRA_SCHEMA}},
            "required": ["schema"],
        },
        "then": _kind(Extra, shapes),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:muster:resources:{API_VERSION}",
        "title": "Resources document",
        **top,
        "description": "What muster's collector prints; a superset of LXD's and Incus's "
        "GET /1.0/resources. Sizes are bytes, frequencies MHz, link speeds Mbit/s.",
        "$defs": dict(sorted(shapes.items())),
    }


def _kind(kind: object, shapes: dict[str, dict[str, object]]) -> dict[str, object]:
    """The schema of one annotation: the kinds that resources.py reads."""
    if isinstance(kind, types.UnionType):
        return _or_null(_kind(kind.__args__[0], shapes))
    if isinstance(kind, types.GenericAlias):
        inner = _kind(kind.__args__[-1], shapes)
        # Go writes an empty list or map as null.
        if kind.__origin__ is list:
            return {"type": ["array", "null"], "items": inner}
        return {"type": ["object", "null"], "additionalProperties": inner}
    if isinstance(kind, type) and fields_of(kind):
        if kind.__name__ not in shapes:
            shapes[kind.__name__] = {}
            shapes[kind.__name__] = _shape(kind, shapes)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return dict(_SCALARS[kind])


def _or_null(schema: dict[str, object]) -> dict[str, object]:
    return {"anyOf": [schema, {"type": "null"}]}


def _shape(kind: type, shapes: dict[str, dict[str, object]]) -> dict[str, object]:
    properties: dict[str, object] = {}
    required = []
    for spec in fields_of(kind).values():
        if "apart" in spec.metadata:
            continue
        key = str(spec.metadata.get("as", spec.name))
        properties[key] = _kind(spec.type, shapes)
        if spec.required:
            required.append(key)
    made: dict[str, object] = {"type": "object", "properties": properties}
    told = " ".join((kind.__dict__.get("__doc__") or "").split())
    if told:
        made["description"] = told
    return made | ({"required": required} if required else {})


def text() -> str:
    """The schema as it is published."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
