# SPDX-License-Identifier: Apache-2.0
"""Strict JSON to dataclass and back, with the path of whatever is wrong.

Everything that crosses the gate is a frozen dataclass with plain field types (str, int, float,
bool, list, dict, Literal, nested dataclass, `X | None`). Limits are declared with `limited()`
and hold on both sides: here for the agent, and through `__post_init__` for the server, whose
JSON library calls it too.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from typing import Any, Literal, TypeVar

T = TypeVar("T")

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class BadMessage(ValueError):
    """A message that does not fit: `path` (as JSONPath, "$.evidence.uuid") and `why`."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def limited(
    *, most: int, default: Any = dataclasses.MISSING, factory: Any = dataclasses.MISSING
) -> Any:
    """Declare a field with at most `most` characters or items."""
    metadata = {"most": most}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_limits(message: object) -> None:
    """Raise ValueError naming the first field of `message` that is longer than it declares, or

    holds what a database refuses: NUL, half surrogate pairs, NaN and infinity.
    """
    for name, most in _limits(type(message)):  # type: ignore[arg-type] # it is hashable
        value = getattr(message, name)
        if most is not None and value is not None and len(value) > most:
            raise ValueError(f"{name}: {len(value)} long, the limit is {most}")
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise ValueError(f"{name}: holds a NUL or half a surrogate pair")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: must be a finite number")


@functools.cache
def _limits(kind: type) -> tuple[tuple[str, int | None], ...]:
    """Names of the fields, and how long each may be."""
    return tuple((field.name, field.metadata.get("most")) for field in dataclasses.fields(kind))


class Limited:
    """Base of every message: its declared limits are checked when it is made."""

    def __post_init__(self) -> None:
        check_limits(self)


def decode(kind: type[T], data: bytes | str) -> T:
    """Parse JSON text into `kind`; raises BadMessage with the path and the reason."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMessage("$", f"not JSON: {error}") from error
    return typing.cast("T", convert(kind, value, "$"))


def encode(message: object) -> bytes:
    """The JSON text of a dataclass."""
    return json.dumps(to_plain(message), separators=(",", ":")).encode()


def to_plain(message: object) -> object:
    """The dataclass as dicts and lists, ready for a JSON library."""
    return dataclasses.asdict(message)  # type: ignore[call-overload]


def convert(kind: Any, value: object, path: str) -> object:
    """`value` (from a JSON library) as `kind`; unknown keys are ignored, so that peers may grow."""
    origin = typing.get_origin(kind)
    if kind in (object, Any):
        return value
    if origin is Literal:
        return _literal(kind, value, path)
    if origin in (types.UnionType, typing.Union):
        return _optional(kind, value, path)
    if origin is list:
        return _list(kind, value, path)
    if origin is dict:
        return _dict(kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, path)
    return _scalar(kind, value, path)


def _literal(kind: Any, value: object, path: str) -> object:
    choices = typing.get_args(kind)
    if value not in choices or isinstance(value, bool):
        raise BadMessage(path, f"must be one of {', '.join(map(repr, choices))}")
    return value


def _optional(kind: Any, value: object, path: str) -> object:
    if value is None:
        return None
    (inner,) = (choice for choice in typing.get_args(kind) if choice is not types.NoneType)
    return convert(inner, value, path)


def _list(kind: Any, value: object, path: str) -> object:
    if not isinstance(value, list):
        raise BadMessage(path, f"must be a list, not {_name(value)}")
    (inner,) = typing.get_args(kind)
    return [convert(inner, item, f"{path}[{i}]") for i, item in enumerate(value)]


def _dict(kind: Any, value: object, path: str) -> object:
    if not isinstance(value, dict):
        raise BadMessage(path, f"must be an object, not {_name(value)}")
    _, inner = typing.get_args(kind)
    return {key: convert(inner, item, f"{path}.{key}") for key, item in value.items()}


def _dataclass(kind: Any, value: object, path: str) -> object:
    if not isinstance(value, dict):
        raise BadMessage(path, f"must be an object, not {_name(value)}")
    hints = typing.get_type_hints(kind)
    given: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            given[field.name] = convert(
                hints[field.name], value[field.name], f"{path}.{field.name}"
            )
        elif _required(field):
            raise BadMessage(f"{path}.{field.name}", "is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise BadMessage(path, str(error)) from error


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _scalar(kind: Any, value: object, path: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadMessage(path, f"must be {kind.__name__}, not {_name(value)}")
    return value


def _name(value: object) -> str:
    return "null" if value is None else type(value).__name__
