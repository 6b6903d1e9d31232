# SPDX-License-Identifier: Apache-2.0
"""The YAML that a script writes to $RESULT_PATH, and what its numbers are held against.

status: passed, failed, degraded, timedout or skipped; link_connected: true or false; results: by
name a text, number, truth value, or a list of those. tags (ours): a list of the tags that the
script gives its machine; left out, those that it gave before stay.
"""

import re
from dataclasses import dataclass, field

import yaml

from muster.machine import tagging
from muster.scripts.safeyaml import Loader, is_plain

RESULT_YAML_LIMIT = 64 * 1024
"""Bytes; a parser in Python takes a second for a few hundred KiB."""

_STATES = {
    "passed": "passed",
    "failed": "failed",
    "degraded": "degraded",
    "timedout": "timed_out",
    "skipped": "skipped",
}
_NAME_LIMIT = 255
_TEXT_LIMIT = 4096
_TAGS_LIMIT = 64
_UNIT = re.compile(r"\(([^()]{1,32})\)$")

Value = str | int | float | bool | list[str | int | float | bool]


class BadResult(ValueError):
    """A result file that cannot be used; the message says why and, for YAML, where."""


@dataclass(frozen=True)
class ResultFile:
    """`state` is empty when the file has no status; `tags` None when it says nothing of them."""

    state: str = ""
    link_connected: bool | None = None
    values: dict[str, Value] = field(default_factory=dict)
    tags: list[str] | None = None


def read(raw: bytes) -> ResultFile:
    """Read a result file; an empty one says nothing. Raises BadResult."""
    if len(raw) > RESULT_YAML_LIMIT:
        raise BadResult(f"{len(raw)} bytes, the limit is {RESULT_YAML_LIMIT}")
    found = _load(raw)
    if strange := found.keys() - {"status", "link_connected", "results", "tags"}:
        raise BadResult(f"{min(strange)!r} is not one of status, link_connected, results, tags")
    status = found.get("status")
    if status is not None and (not isinstance(status, str) or status not in _STATES):
        raise BadResult(f"status: {status!r} must be one of {', '.join(_STATES)}")
    link = found.get("link_connected")
    if link is not None and not isinstance(link, bool):
        raise BadResult("link_connected: must be true or false")
    state = _STATES[status] if isinstance(status, str) else ""
    return ResultFile(state, link, _values(found.get("results")), _tags(found.get("tags")))


def _load(raw: bytes) -> dict[str, object]:
    try:
        loaded = yaml.load(raw.decode(), Loader)
        plain = is_plain(loaded)
    except UnicodeDecodeError as error:
        raise BadResult(f"not UTF-8 at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadResult(f"{where}not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadResult(f"not YAML: {error}") from error
    except RecursionError as error:
        raise BadResult("nested too deeply") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict) or not plain:
        raise BadResult("must be a mapping of texts, finite numbers and lists of them")
    return loaded


def _values(given: object) -> dict[str, Value]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadResult("results: must be a mapping")
    for name, value in given.items():
        if len(name) > _NAME_LIMIT:
            raise BadResult(f"results: a name is longer than {_NAME_LIMIT} characters")
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) for item in items):
            raise BadResult(f"results.{name}: must be a text, a number, true, false, or a list")
        if any(isinstance(item, str) and len(item) > _TEXT_LIMIT for item in items):
            raise BadResult(f"results.{name}: longer than {_TEXT_LIMIT} characters")
    return given


def _tags(given: object) -> list[str] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise BadResult("tags: must be a list of names")
    if len(given) > _TAGS_LIMIT:
        raise BadResult(f"tags: {len(given)} of them, the limit is {_TAGS_LIMIT}")
    for name in given:
        if not tagging.valid(name):
            raise BadResult(f"tags: {name[:80]!r} is no name: {tagging.REMEDY}")
    return sorted(set(given))


def unit(title: str) -> str:
    """The unit of a result: what stands in brackets at the end of its title."""
    match = _UNIT.search(title)
    return match[1] if match else ""


def beyond(values: dict[str, Value], thresholds: dict[str, dict[str, float]]) -> str:
    """The first value outside its threshold ({"iops": {"min": 1000}}), told; or ""."""
    for name, limits in thresholds.items():
        value = values.get(name)
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if number < limits.get("min", number):
                return f"{name} is {number}, less than {limits['min']:g}"
            if number > limits.get("max", number):
                return f"{name} is {number}, more than {limits['max']:g}"
    return ""
