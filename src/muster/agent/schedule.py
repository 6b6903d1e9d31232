# SPDX-License-Identifier: Apache-2.0
"""Which scripts may start now: serial ones alone and in order, then instances, then the rest.

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
    if any(stage(item) != now for item in busy):
        return []
    first = [item for item in waiting if stage(item) == now]
    if now[1] == _STAGES["disabled"]:
        return [] if busy else first[:1]
    chosen: list[ScriptItem] = []
    for item in first:
        if len(busy) + len(chosen) >= MOST:
            break
        if not any(collide(item, other) for other in (*busy, *chosen)):
            chosen.append(item)
    return chosen


def collide(one: ScriptItem, other: ScriptItem) -> bool:
    """True when both hold a resource; "disk:*" is every disk."""
    return any(_same(a, b) for a in one.holds for b in other.holds)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    kind, _, device = one.partition(":")
    kind2, _, device2 = other.partition(":")
    return kind == kind2 and "*" in (device, device2)
