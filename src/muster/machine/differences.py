# SPDX-License-Identifier: Apache-2.0
"""What changed between two resources documents of a machine, one sentence a change.

Parts are paired by serial number, then by place, then by what they are; what is left over is gone
or new. A property is compared where both documents state it: a driver that is missing in one
image does not make firmware versions disappear.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from muster.machine.folding import Found, folded, sentence
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
    found: list[Found] = []
    for kind in KINDS:
        if kind in known and not (kind == "memory" and _small(old, new, found)):
            found += _compare(before.get(kind, []), after.get(kind, []))
    return [_change(one, elsewhere or {}) for one in folded(found)]


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


def _small(old: Document, new: Document, found: list[Found]) -> bool:
    """True when the kernel's memory needs no sentence of its own: the DIMMs have told it."""
    had, has = old.resources.memory.total, new.resources.memory.total
    return abs(has - had) <= had * _MEMORY_TOLERANCE or any(
        one.kind == "DIMM" and (one.what in ("gone", "new", "replaced") or one.name == "size")
        for one in found
    )


def _compare(before: list[Part], after: list[Part]) -> list[Found]:
    paired, gone, new = _pair(before, after)
    found = [one for first, other in paired for one in _pair_told(first, other)]
    found += [Found("gone", old=part) for part in gone]
    return found + [Found("new", new=part) for part in new]


def _pair(
    before: list[Part], after: list[Part]
) -> tuple[list[tuple[Part, Part]], list[Part], list[Part]]:
    """Pairs, and what is left of both: by serial number, place, description, the kernel's name."""
    paired: list[tuple[Part, Part]] = []
    for key in (_by_serial, _by_place, _by_title, _by_name):
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
    """What a machine has one of has neither place nor name."""
    return part.place or ("" if part.name else part.kind)


def _by_title(part: Part) -> object:
    """Two with serial numbers that differ are not the same part, however alike they look."""
    return part.title if part.title and not part.serial else ""


def _by_name(part: Part) -> object:
    """A disk of unknown place is where its name says, when nothing else tells it."""
    return "" if part.place else part.name


def _pair_told(old: Part, new: Part) -> Iterator[Found]:
    if old.serial and new.serial and old.serial != new.serial:
        yield Found("replaced", old, new)
        return
    if old.place and new.place and old.place != new.place and not old.paths & new.paths:
        yield Found("moved", old, new)
    for name, had in old.properties.items():
        has = new.properties.get(name, "")
        if had and has and had != has:
            yield Found("changed", old, new, name=name)


def _change(found: Found, elsewhere: Elsewhere) -> Change:
    part = found.part
    where = elsewhere.get((part.kind, part.serial))
    word = {"gone": "now in", "new": "moved here from"}.get(found.what)
    told = f", {word} machine {where}" if where and word else ""
    return Change(part.kind, found.what, part.serial, f"{sentence(found)}{told}")
