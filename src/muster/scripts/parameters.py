# SPDX-License-Identifier: Apache-2.0
"""What a script may ask for: the parameters of MAAS script metadata 1.0 and the values they take.

MAAS checks embedded parameters only when a script runs; here they are checked when it arrives.
"""

import re
import string
from collections.abc import Callable
from urllib.parse import urlsplit

from muster.scripts.entry import Entry, mapping

TYPES = ("boolean", "choice", "interface", "password", "runtime", "storage", "string", "url")
_KEYS = frozenset(
    "type min max title description argument_format default required allow_list choices".split()
)
_NO_RANGE = ("storage", "interface", "url", "choice")
PLACES = {
    "storage": ("input", "name", "path", "model", "serial"),
    "interface": ("input", "name", "mac", "vendor", "product"),
}
"""What an argument_format may say about the device that a parameter stands for."""
_FORMATS = {"storage": "--storage={path}", "interface": "--interface={name}"}
_SCHEMES = frozenset(
    "icmp file ftp ftps gopher http https imap imaps ldap ldaps pop3 pop3s rtmp rtsp scp sftp smb"
    " smbs smtp smtps telnet tftp".split()
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VALUE_LIMIT = 4096
"""Characters of one value."""


def parameters(entry: Entry) -> dict[str, dict[str, object]]:
    """By name; each has at least its type. Raises ScriptError at the line of what is wrong."""
    found: dict[str, dict[str, object]] = {}
    for name, about in mapping(entry, entry.value).items():
        if not _NAME.fullmatch(name):
            raise entry.error(f"{name!r} must be letters, digits, - and _ only", at=name)
        found[name] = _one(entry, name, mapping(entry, about, name))
    return found


def _one(entry: Entry, name: str, about: dict[str, object]) -> dict[str, object]:
    for key in about:
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            at = f"{name}.{key}"
            raise entry.error(f"{at} is not known; a parameter has {known}", at=at)
    kind = about.get("type")
    if kind not in TYPES:
        at = f"{name}.type" if "type" in about else name
        raise entry.error(f"{name}.type must be one of {', '.join(TYPES)}", at=at)
    assert isinstance(kind, str)
    for check in (_texts, _flags, _ranges, _choices, _argument_format, _default):
        check(entry, name, kind, about)
    return about


def _texts(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    for key in ("title", "description", "argument_format"):
        if key in about and not isinstance(about[key], str):
            raise entry.error(f"{name}.{key} must be text", at=f"{name}.{key}")


def _flags(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    for key in ("required", "allow_list"):
        if key in about and not isinstance(about[key], bool):
            raise entry.error(f"{name}.{key} must be true or false", at=f"{name}.{key}")
    if "allow_list" in about and kind != "url":
        raise entry.error(f"{name}.allow_list is for type url only", at=f"{name}.allow_list")


def _ranges(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    for key in ("min", "max"):
        if key not in about:
            continue
        at = f"{name}.{key}"
        value = about[key]
        if kind in _NO_RANGE:
            raise entry.error(f"{at}: type {kind} has no {key}", at=at)
        if not isinstance(value, int) or isinstance(value, bool):
            raise entry.error(f"{at} must be a whole number", at=at)
        if kind == "runtime" and value < 0:
            raise entry.error(f"{at}: a runtime cannot be negative", at=at)
    low, high = about.get("min"), about.get("max")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise entry.error(f"{name}.min {low} is more than {name}.max {high}", at=f"{name}.min")


def _choices(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    at = f"{name}.choices"
    if kind != "choice":
        if "choices" in about:
            raise entry.error(f"{at} is for type choice only", at=at)
        return
    given = about.get("choices")
    if not isinstance(given, list) or not given:
        raise entry.error(f"{at} must be a list of values", at=at if "choices" in about else name)
    if not all(_is_choice(item) for item in given):
        raise entry.error(f"{at} must be texts or [value, label] pairs", at=at)


def _is_choice(item: object) -> bool:
    if isinstance(item, list):
        return len(item) == 2 and all(isinstance(part, str) for part in item)
    return isinstance(item, str)


def choices(about: dict[str, object]) -> list[str]:
    """The values of a choice, without their labels."""
    given = about.get("choices", [])
    assert isinstance(given, list)
    return [str(item[0]) if isinstance(item, list) else str(item) for item in given]


def _argument_format(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    if "argument_format" not in about:
        return
    at = f"{name}.argument_format"
    places = PLACES.get(kind, ("input",))
    try:
        used = {place for _, place, _, _ in string.Formatter().parse(str(about["argument_format"]))
                if place is not None}  # fmt: skip
    except ValueError as error:
        raise entry.error(f"{at}: {error}", at=at) from error
    known = ", ".join(f"{{{place}}}" for place in places)
    if strange := used - set(places):
        raise entry.error(f"{at}: {{{min(strange)}}} is not one of {known}", at=at)
    if kind in PLACES and not used:
        raise entry.error(f"{at} must name the device by one of {known}", at=at)


def _default(entry: Entry, name: str, kind: str, about: dict[str, object]) -> None:
    value = about.get("default")
    if value is None:
        return
    if isinstance(value, list | dict):
        raise entry.error(f"{name}.default must be one value", at=f"{name}.default")
    if why := wrong(about, text(value)):
        raise entry.error(f"{name}.default: {why}", at=f"{name}.default")


def text(value: object) -> str:
    """A value as scripts get it: YAML makes true and 60 of what was written so."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def wrong(about: dict[str, object], value: str) -> str:
    """Why `value` does not fit the parameter, or ""."""
    if len(value) > VALUE_LIMIT or not value.isprintable():
        return f"must be one line of at most {VALUE_LIMIT} characters"
    check = _CHECKS.get(str(about["type"]))
    return check(about, value) if check else ""


def _wrong_boolean(about: dict[str, object], value: str) -> str:
    return "" if value.lower() in ("true", "false") else f"{value!r} must be true or false"


def _wrong_choice(about: dict[str, object], value: str) -> str:
    known = choices(about)
    return "" if value in known else f"{value!r} must be one of {', '.join(known)}"


def _wrong_length(about: dict[str, object], value: str) -> str:
    return _out_of_range(about, len(value), "characters")


def _wrong_runtime(about: dict[str, object], value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        return f"{value!r} must be a number of seconds"
    return _out_of_range(about, int(value), "seconds")


def _out_of_range(about: dict[str, object], value: int, unit: str) -> str:
    low, high = about.get("min"), about.get("max")
    if isinstance(low, int) and value < low:
        return f"{value} {unit} are less than the minimum, {low}"
    if isinstance(high, int) and value > high:
        return f"{value} {unit} are more than the maximum, {high}"
    return ""


def _wrong_url(about: dict[str, object], value: str) -> str:
    urls = [part.strip() for part in value.split(",")] if about.get("allow_list") else [value]
    for url in urls:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            return f"{url!r} is no URL: {error}"
        if parts.scheme.lower() not in _SCHEMES:
            return f"{url!r} must begin with one of {', '.join(sorted(_SCHEMES))} and ://"
        if not parts.netloc and parts.scheme.lower() != "file":
            return f"{url!r} names no host"
    return ""


_CHECKS: dict[str, Callable[[dict[str, object], str], str]] = {
    "boolean": _wrong_boolean,
    "choice": _wrong_choice,
    "password": _wrong_length,
    "string": _wrong_length,
    "runtime": _wrong_runtime,
    "url": _wrong_url,
}


def argument(name: str, about: dict[str, object], facts: dict[str, str]) -> list[str]:
    """The arguments of one parameter; `facts` has `input` and, for a device, what it is.

    The format is split first and filled in after: a model with a space stays one argument.
    """
    kind = str(about["type"])
    form = str(about.get("argument_format") or _FORMATS.get(kind, f"--{name}={{input}}"))
    return [word.format_map(facts) for word in form.split()]
