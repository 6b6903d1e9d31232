# SPDX-License-Identifier: Apache-2.0
"""The fields of MAAS script metadata 1.0: which there are, and what each may say."""

import re
import shlex
from collections.abc import Callable

from muster.scripts.entry import Entry, kind_of, mapping
from muster.scripts.parameters import parameters

TIMEOUT_LIMIT = 366 * 86400
"""Seconds; burn-in tests run for days."""


_TIMEOUT = re.compile(
    r"(?:(?P<days>\d{1,3}) (?:days?, )?)?"
    r"(?:(?:(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):)?(?P<seconds>\d{1,9})"
)
_NAME_LIMIT = 255

_SCRIPT_TYPES = {
    "commissioning": "commissioning",
    "commission": "commissioning",
    "0": "commissioning",
    "testing": "testing",
    "test": "testing",
    "2": "testing",
}
_OTHER_SCRIPT_TYPES = {"release", "3", "deployment", "4"}
_HARDWARE_TYPES = {
    alias: kind
    for kind, aliases in {
        "node": "node machine controller other generic 0",
        "cpu": "cpu processor 1",
        "memory": "memory ram 2",
        "storage": "storage disk ssd 3",
        "network": "network net interface 4",
        "gpu": "gpu graphics 5",
    }.items()
    for alias in aliases.split()
}
_PARALLEL = {
    "disabled": "disabled",
    "none": "disabled",
    "0": "disabled",
    "instance": "instance",
    "name": "instance",
    "1": "instance",
    "any": "any",
    "enabled": "any",
    "2": "any",
}
_HARDWARE_PATTERN = re.compile(
    r"modalias:.+|(?:pci|usb):[0-9a-fA-F]{4}:[0-9a-fA-F]{4}"
    r"|(?:system_vendor|system_product|system_version|mainboard_vendor|mainboard_product):.+"
)
_PACKAGE_SOURCES = {
    "apt": "a package name or a list of them",
    "snap": "a snap name, a mapping with name, channel and mode (classic, dev or jail), or a list",
    "url": "an http:// or https:// address or a list of them",
}
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:~=_-]*")


def script_name(entry: Entry) -> str:
    """It becomes a file name, and an argument of shell commands."""
    name = _text(entry) if isinstance(entry.value, str) else entry.text
    if not name:
        raise entry.error("is missing")
    if name.isdigit() or name.lower() == "none":
        raise entry.error(f"must not be {name!r}: numbers and none mean other things")
    if shlex.quote(name) != name or "/" in name or name.startswith(("-", ".")):
        raise entry.error(f"{name!r} must be letters, digits and any of @%+=:,._-, no space")
    if len(name) > _NAME_LIMIT:
        raise entry.error(f"is longer than {_NAME_LIMIT} characters")
    return name


def _text(entry: Entry) -> str:
    if entry.value is None:
        return ""
    if not isinstance(entry.value, str):
        raise entry.error(f"must be text, not {kind_of(entry.value)}")
    return entry.value.strip()


def _flag(entry: Entry) -> bool:
    if not isinstance(entry.value, bool):
        raise entry.error("must be true or false")
    return entry.value


def _choice(entry: Entry, choices: dict[str, str]) -> str:
    text = entry.text.strip().lower()
    if text not in choices:
        raise entry.error(f"{entry.text!r} must be one of {', '.join(choices)}")
    return choices[text]


def _script_type(entry: Entry) -> str:
    if entry.text.strip().lower() in _OTHER_SCRIPT_TYPES:
        raise entry.error(
            f"{entry.text!r}: muster commissions and tests; it neither deploys nor releases"
        )
    return _choice(entry, _SCRIPT_TYPES)


def _timeout(entry: Entry) -> int:
    """From the text: YAML 1.1 makes 10:00:00 a number to base 60 and leaves 00:10:00 text."""
    match = _TIMEOUT.fullmatch(entry.text.strip())
    if match is None:
        raise entry.error(f"{entry.text!r} must be HH:MM:SS, D HH:MM:SS or a number of seconds")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total > TIMEOUT_LIMIT:
        raise entry.error(f"{total} seconds, the limit is {TIMEOUT_LIMIT}")
    return total


def _words(entry: Entry) -> tuple[str, ...]:
    """ "a, b" or a list; each once, in the order given."""
    value = entry.value
    if isinstance(value, str):
        value = value.split(",")
    words = [word.strip() for word in _texts(entry, value) if word.strip()]
    return tuple(dict.fromkeys(words))


def _texts(entry: Entry, value: object) -> list[str]:
    if value is None:
        return []
    items: list[object] = value if isinstance(value, list) else [value]
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise entry.error("must be text or a list of texts")
    return texts


def _for_hardware(entry: Entry) -> tuple[str, ...]:
    patterns = _words(entry)
    for pattern in patterns:
        if not _HARDWARE_PATTERN.fullmatch(pattern):
            raise entry.error(
                f"{pattern!r} must be modalias:GLOB, pci:VVVV:DDDD, usb:VVVV:DDDD, or "
                "system_vendor:, system_product:, system_version:, mainboard_vendor: or "
                "mainboard_product: with a text"
            )
    return patterns


def _results(entry: Entry) -> dict[str, dict[str, str]]:
    """A list of names, or by name a mapping with a title (required) and a description."""
    if isinstance(entry.value, list):
        return {name: {"title": name} for name in _texts(entry, entry.value)}
    return {
        name: _result(entry, name, about) for name, about in mapping(entry, entry.value).items()
    }


def _result(entry: Entry, name: str, about: object) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, text in mapping(entry, about, name).items():
        if key not in ("title", "description") or not isinstance(text, str):
            at = f"{name}.{key}"
            raise entry.error(f"{at} is not a title or description in text", at=at)
        texts[key] = text
    if "title" not in texts:
        raise entry.error(f"{name}.title is missing", at=name)
    return texts


def _packages(entry: Entry) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for source, names in mapping(entry, entry.value).items():
        if source not in _PACKAGE_SOURCES:
            known = ", ".join(_PACKAGE_SOURCES)
            raise entry.error(f"{source} must be one of {known}", at=source)
        items = names if isinstance(names, list) else [names]
        if not all(_is_package(source, item) for item in items):
            raise entry.error(f"{source} must be {_PACKAGE_SOURCES[source]}", at=source)
        found[source] = items
    return found


def _is_package(source: str, item: object) -> bool:
    """Names go onto a command line: they must not look like an option."""
    if isinstance(item, dict) and source == "snap":
        known = item.keys() <= {"name", "channel", "mode"}
        texts = all(isinstance(value, str) for value in item.values())
        mode = item.get("mode", "jail") in ("classic", "dev", "jail")
        return known and texts and mode and _is_package(source, item.get("name"))
    if not isinstance(item, str):
        return False
    if source == "url":
        return bool(re.fullmatch(r"https?://[^/\s]+/\S+", item))
    return bool(_PACKAGE_NAME.fullmatch(item))


FIELDS: dict[str, Callable[[Entry], object]] = {
    "name": script_name,
    "title": _text,
    "description": _text,
    "comment": _text,
    "script_type": _script_type,
    "hardware_type": lambda entry: _choice(entry, _HARDWARE_TYPES),
    "parallel": lambda entry: _choice(entry, _PARALLEL),
    "timeout": _timeout,
    "parameters": parameters,
    "packages": _packages,
    "results": _results,
    "for_hardware": _for_hardware,
    "may_reboot": _flag,
    "recommission": _flag,
    "destructive": _flag,
    "apply_configured_networking": _flag,
    "tags": _words,
}
