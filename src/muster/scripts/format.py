# SPDX-License-Identifier: Apache-2.0
"""The script format: MAAS script metadata 1.0, an executable with YAML in its comments.

    #!/bin/sh
    # --- Start MAAS 1.0 script metadata ---
    # name: my-script
    # timeout: 00:05:00
    # --- End MAAS 1.0 script metadata ---

Field names, aliases, numbers and defaults are MAAS's, so that its users' scripts run unmodified.
What is wrong is refused when the script arrives, with the line and the reason.
"""

import hashlib
import re
from dataclasses import dataclass, field

import yaml

from muster.scripts.entry import Entry, ScriptError
from muster.scripts.fields import FIELDS, script_name
from muster.scripts.safeyaml import Loader, is_plain

SOURCE_LIMIT = 2 * 1024 * 1024
"""Bytes of a whole script."""
METADATA_LIMIT = 64 * 1024
"""Bytes of its metadata."""
_DELIMITER = re.compile(
    r"\s*#\s*-+\s*(?P<edge>Start|End) MAAS (?P<version>\d+\.\d+) script metadata\s+-+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Script:
    """One script. `timeout` is in seconds, 0 for none; `sha256` of the source, in hexadecimal.

    `results` and `parameters` are by name; `packages` by source (apt, snap, url).
    """

    name: str
    source: bytes = field(repr=False)
    sha256: str
    title: str = ""
    description: str = ""
    comment: str = ""
    script_type: str = "testing"
    hardware_type: str = "node"
    parallel: str = "disabled"
    timeout: int = 0
    parameters: dict[str, dict[str, object]] = field(default_factory=dict)
    packages: dict[str, list[object]] = field(default_factory=dict)
    results: dict[str, dict[str, str]] = field(default_factory=dict)
    for_hardware: tuple[str, ...] = ()
    may_reboot: bool = False
    recommission: bool = False
    destructive: bool = False
    apply_configured_networking: bool = False
    tags: tuple[str, ...] = ()


def parse(source: bytes, *, name: str = "") -> Script:
    """Read a script; `name` serves where its metadata has none. Raises the first ScriptError."""
    values, errors = _read(source, name)
    if errors:
        raise errors[0]
    digest = hashlib.sha256(source).hexdigest()
    return Script(source=source, sha256=digest, **values)  # type: ignore[arg-type]


def problems(source: bytes, *, name: str = "") -> list[ScriptError]:
    """Everything that is wrong with a script, by line; empty when it can be taken."""
    try:
        return sorted(_read(source, name)[1], key=lambda error: error.line)
    except ScriptError as error:
        # Without its shape nothing more can be said.
        return [error]


def _read(source: bytes, name: str) -> tuple[dict[str, object], list[ScriptError]]:
    """The fields by name, and what is wrong with single ones; raises when it has no shape."""
    values: dict[str, object] = {}
    errors: list[ScriptError] = []
    for entry in _entries(_lines(source)):
        try:
            _take(values, entry)
        except ScriptError as error:
            errors.append(error)
    if "name" not in values and not any(error.field == "name" for error in errors):
        try:
            values["name"] = script_name(Entry(1, "name", name, name))
        except ScriptError as error:
            errors.append(error)
    return values, errors


def _take(values: dict[str, object], entry: Entry) -> None:
    canonical = "script_type" if entry.name == "type" else entry.name
    if canonical not in FIELDS:
        known = ", ".join(sorted(FIELDS))
        raise entry.error(f"is not a field of MAAS script metadata 1.0; those are {known}")
    if canonical in values:
        raise entry.error("is given twice")
    values[canonical] = FIELDS[canonical](entry)


def _lines(source: bytes) -> list[str]:
    if len(source) > SOURCE_LIMIT:
        raise ScriptError(1, "script", f"{len(source)} bytes, the limit is {SOURCE_LIMIT}")
    if not source.startswith(b"#!/"):
        raise ScriptError(1, "script", 'must start with "#!/" and the path of its interpreter')
    # Code may be in any encoding, or binary after the metadata; the metadata is UTF-8.
    return source.decode(errors="surrogateescape").split("\n")


def _entries(lines: list[str]) -> list[Entry]:
    """The fields of the metadata block; none if there is no block."""
    edges = [(number, m) for number, line in enumerate(lines) if (m := _DELIMITER.match(line))]
    if not edges:
        return []
    start, opening = edges[0]
    if opening["edge"].lower() != "start":
        raise ScriptError(start + 1, "metadata", "ends before it starts")
    if opening["version"] != "1.0":
        raise ScriptError(start + 1, "metadata", f"version {opening['version']} is not 1.0")
    if len(edges) < 2 or edges[1][1]["edge"].lower() != "end":
        raise ScriptError(start + 1, "metadata", "starts here and is not ended")
    return _parse_yaml(_uncomment(lines, start + 1, edges[1][0]), start + 2)


def _uncomment(lines: list[str], start: int, end: int) -> str:
    for number in range(start, end):
        if "#" not in lines[number]:
            raise ScriptError(number + 1, "metadata", 'has a line without "#"')
    text = "\n".join(line.partition("#")[2].rstrip("\r") for line in lines[start:end])
    if len(text) > METADATA_LIMIT:
        raise ScriptError(start, "metadata", f"is larger than {METADATA_LIMIT} bytes")
    return text


def _parse_yaml(text: str, first_line: int) -> list[Entry]:
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            line = first_line + node.start_mark.line
            raise ScriptError(line, "metadata", 'must be fields ("name: value")')
        return [_entry(loader, key, value, first_line) for key, value in node.value]
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise ScriptError(line, "metadata", f"is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ScriptError(first_line, "metadata", f"is not YAML: {error}") from error
    except RecursionError as error:
        raise ScriptError(first_line, "metadata", "is nested too deeply") from error


def _entry(loader: Loader, key: yaml.Node, value: yaml.Node, first_line: int) -> Entry:
    line = first_line + key.start_mark.line
    if not isinstance(key, yaml.ScalarNode):
        raise ScriptError(line, "metadata", "has a field whose name is not text")
    text = value.value if isinstance(value, yaml.ScalarNode) else ""
    try:
        built = loader.construct_object(value, deep=True)
    except ValueError as error:
        # YAML 1.1 takes 2026-13-45 for a date and then finds that it is none.
        raise ScriptError(line, key.value, str(error)) from error
    entry = Entry(line, key.value, built, text, _lines_below(value, first_line))
    if not is_plain(built):
        raise entry.error("must be made of text, finite numbers, lists and mappings by text")
    return entry


def _lines_below(node: yaml.Node, first_line: int, path: str = "") -> dict[str, int]:
    """The line of each key below a field, by dotted path."""
    found: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            name = f"{path}{key.value}"
            found[name] = first_line + key.start_mark.line
            found |= _lines_below(value, first_line, f"{name}.")
    return found
