# SPDX-License-Identifier: Apache-2.0
"""One metadata field as written, and the error that names its line."""

from dataclasses import dataclass, field


class ScriptError(ValueError):
    """A script that cannot be taken: the `line` (from 1), the `field` and the `reason`."""

    def __init__(self, line: int, name: str, reason: str) -> None:
        super().__init__(f"line {line}: {name}: {reason}")
        self.line = line
        self.field = name
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """One field as written: `text` is the scalar itself, before YAML makes a number of it.

    `lines` has the line of each key below it, by dotted path.
    """

    line: int
    name: str
    value: object
    text: str
    lines: dict[str, int] = field(default_factory=dict)

    def error(self, reason: str, *, at: str = "") -> ScriptError:
        """What is wrong with this field, or with the key `at` ("storage.type") below it."""
        return ScriptError(self.lines.get(at, self.line), self.name, reason)


def mapping(entry: Entry, value: object, inside: str = "") -> dict[str, object]:
    """`value` as a mapping; nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        where = f"{inside} " if inside else ""
        raise entry.error(f"{where}must be a mapping, not {kind_of(value)}", at=inside)
    return value


def kind_of(value: object) -> str:
    """What a person calls this kind of value."""
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", str: "text"}
    return kinds.get(type(value), "a mapping")
