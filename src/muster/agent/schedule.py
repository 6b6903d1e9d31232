# SPDX-License-Identifier: Apache-2.0
"""Which scripts may start now: serial ones alone and in order, then instances, then the rest.

Built-in commissioning scripts that may run beside any start with the last of the built-in serial
ones (the survey): they only look, and LLDP and DHCP need their time. A user's serial one is alone.

Pure: knows no process and no clock. Two scripts never hold the same resource.
"""

from collections.abc import Iterable

from muster.wire.hello import ScriptItem

MOST = 64
"""Scripts at once; a machine with more disks tests the others when these are done."""

_STAGES = {"disabled": 0, "instance": 1, "any": 2}


def stage(item: ScriptItem) -> tuple[bool, int]:
    """Commissioning comes before tests, and each in three stages."""
    return item.script_type != "commissioning", _STAGES[item.parallel]


def startable(waiting: list[ScriptItem], running: Iterable[ScriptItem]) -> list[ScriptItem]:
    """The scripts of `waiting` (in the run's order) that may start beside `running`."""
    busy = list(running)
    if not waiting:
        return []
    now = min(stage(item) for item in waiting)
    first = next(item for item in waiting if stage(item) == now)
    early = _may_look([item for item in (*waiting, *busy) if item.script_type == "commissioning"])
    chosen: list[ScriptItem] = []
    for item in waiting:
        beside = [*busy, *chosen]
        if len(beside) >= MOST:
            break
        if any(collide(item, other) for other in beside):
            continue
        if _looks(item) and early:
            chosen.append(item)
        elif stage(item) != now:
            continue
        elif item.parallel != "disabled":
            chosen += [item] if all(stage(other) == now for other in beside) else []
        elif item is first and all(_may_accompany(other, item) for other in beside):
            chosen.append(item)
    return chosen


def _may_accompany(other: ScriptItem, serial: ScriptItem) -> bool:
    return serial.built_in and serial.script_type == "commissioning" and _looks(other)


def _looks(item: ScriptItem) -> bool:
    """Built in, commissioning, and willing to run beside any."""
    return item.built_in and item.script_type == "commissioning" and item.parallel == "any"


def _may_look(left: list[ScriptItem]) -> bool:
    """What is left to be done before the last stage is one built-in serial script at most."""
    before = [item for item in left if item.parallel != "any"]
    return not before or (
        len(before) == 1 and before[0].built_in and before[0].parallel == "disabled"
    )


def collide(one: ScriptItem, other: ScriptItem) -> bool:
    """True when both hold a resource; "disk:*" is every disk."""
    return any(_same(a, b) for a in one.holds for b in other.holds)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    kind, _, device = one.partition(":")
    kind2, _, device2 = other.partition(":")
    return kind == kind2 and "*" in (device, device2)
