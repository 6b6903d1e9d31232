# SPDX-License-Identifier: Apache-2.0
"""What changed between two resources documents of a machine, one sentence a change.

Parts are paired by serial number, then by place, then by what they are; what is left over is gone
or new. A property is compared where both documents state it: a driver that is missing in one
image does not make firmware versions disappear.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from muster.machine.parts import KINDS, Part, known_kinds, parts, told_of
from muster.wire.resources import Document

_MEMORY_TOLERANCE = 0.01
"""Another kernel keeps another share of the memory for itself."""


@dataclass(frozen=True)
class Change:
    """`what` is gone, new, replaced, moved or changed; `sentence` tells all without full stop."""

    kind: str
    what: str
    serial: str
    sentence: str


Elsewhere = Mapping[tuple[str, str], str]
"""(kind, serial): the other machine that has it now or had it before."""


def compare(old: Document, new: Document, elsewhere: Elsewhere | None = None) -> list[Change]:
    """Every change from `old` to `new`; kinds that one of them could not read are left out."""
    known = known_kinds(old) & known_kinds(new)
    # A NIC whose driver is missing is a PCI device only: no new device.
    told = told_of(old) | told_of(new)
    before, after = _by_kind(old, told), _by_kind(new, told)
    changes: list[Change] = []
    for kind in KINDS:
        if kind in known and not (kind == "memory" and _small(old, new, changes)):
            changes += _compare(before.get(kind, []), after.get(kind, []), elsewhere or {})
    return changes


def unread(old: Document, new: Document) -> list[str]:
    """The kinds of parts that cannot be compared, because one document does not tell of them."""
    known = known_kinds(old) & known_kinds(new)
    return [kind for kind in KINDS if kind not in known]


def _by_kind(document: Document, told: set[str]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts(document):
        if part.kind == "PCI device" and part.place in told:
            continue
        found.setdefault(part.kind, []).append(part)
    return found


def _small(old: Document, new: Document, changes: list[Change]) -> bool:
    """True when the kernel's memory needs no sentence of its own: the DIMMs have told it."""
    had, has = old.resources.memory.total, new.resources.memory.total
    return abs(has - had) <= had * _MEMORY_TOLERANCE or any(
        change.kind == "DIMM" and change.what in ("gone", "new", "replaced") for change in changes
    )


def _compare(before: list[Part], after: list[Part], elsewhere: Elsewhere) -> list[Change]:
    paired, gone, new = _pair(before, after)
    changes = [change for one, other in paired for change in _pair_told(one, other)]
    # A link comes and goes with its device, which has its own sentence.
    gone, new = [[p for p in left if p.kind != "PCIe link"] for left in (gone, new)]
    for part in gone:
        where = elsewhere.get((part.kind, part.serial))
        told = f", now in machine {where}" if where else ""
        changes.append(_change(part, "gone", f"{part.label} is gone{_titled(part)}{told}"))
    for part in new:
        where = elsewhere.get((part.kind, part.serial))
        told = f", moved here from machine {where}" if where else ""
        changes.append(_change(part, "new", f"{part.label} is new{_titled(part)}{told}"))
    return changes


def _pair(
    before: list[Part], after: list[Part]
) -> tuple[list[tuple[Part, Part]], list[Part], list[Part]]:
    """Pairs, and what is left of both: by serial number, by place, by description."""
    paired: list[tuple[Part, Part]] = []
    for key in (_by_serial, _by_place, _by_title):
        waiting: dict[object, list[Part]] = {}
        for part in reversed(after):
            waiting.setdefault(key(part), []).append(part)
        matched: list[tuple[Part, Part]] = []
        left = []
        for part in before:
            found = waiting.get(key(part)) if key(part) else None
            if found:
                matched.append((part, found.pop()))
            else:
                left.append(part)
        taken = {id(other) for _, other in matched}
        paired += matched
        before, after = left, [part for part in after if id(part) not in taken]
    return paired, before, after


def _by_serial(part: Part) -> object:
    return part.serial


def _by_place(part: Part) -> object:
    """What a machine has one of has no place; a disk of unknown place is where its name says."""
    return part.place or part.name or part.kind


def _by_title(part: Part) -> object:
    """Two with serial numbers that differ are not the same part, however alike they look."""
    return part.title if part.title and not part.serial else ""


def _pair_told(old: Part, new: Part) -> Iterator[Change]:
    if old.serial and new.serial and old.serial != new.serial:
        sentence = f"{new.label} was replaced: {_whole(old)}, now {_whole(new)}"
        yield _change(new, "replaced", sentence)
        return
    if old.place and new.place and old.place != new.place and not old.paths & new.paths:
        title = f" {new.title}" if new.title else ""
        sentence = f"{new.kind}{title} moved from {old.place} to {new.place}"
        yield _change(new, "moved", sentence)
    for name, had in old.properties.items():
        has = new.properties.get(name, "")
        if had and has and had != has:
            yield _change(new, "changed", f"{_changed_label(new)}: {name} {had}, now {has}")


def _changed_label(part: Part) -> str:
    """A person looks for a disk by its name and serial number, not by its path."""
    named = part.name if part.name and part.kind != "USB device" else ""
    serial = f"serial {part.serial}" if part.kind == "disk" and part.serial else ""
    told = " ".join(filter(None, (named if part.place else "", serial)))
    return f"{part.label} ({told})" if told else part.label


def _whole(part: Part) -> str:
    """Its title, and the serial number where the title does not hold it."""
    title = part.title or part.kind
    return title if part.serial in title else f"{title} {part.serial}"


def _titled(part: Part) -> str:
    return f": {part.title}" if part.title else ""


def _change(part: Part, what: str, sentence: str) -> Change:
    return Change(part.kind, what, part.serial, sentence)
