# SPDX-License-Identifier: Apache-2.0
"""What one pair of hands changed is one sentence, however many parts of the document tell of it.

A card with two ports is one card; its transceivers, its other PCI functions, its PCIe link and the
disks behind a controller come and go with it; all processors get the BIOS's microcode.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from muster.machine.parts import Part

_NAMED = 8
_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
_OF_CARD = frozenset({"NIC", "GPU", "accelerator", "RAID controller"})
_TOGETHER = {"processor": {"microcode", "model", "cores", "threads"},
             "DIMM": {"speed", "configured speed"}}  # fmt: skip
"""Properties that one cause changes on all parts of a kind."""
_OF_SLOT = {"NIC": {"firmware", "model"}, "PCIe link": {"width", "speed"}}
"""And those that are the card's, on each of its functions."""


@dataclass(frozen=True)
class Found:
    """`what` happened to a part; `name` is the property that changed.

    `more` are the other parts of which this sentence tells, `behind` how many disks.
    """

    what: str
    old: Part | None = None
    new: Part | None = None
    name: str = ""
    more: tuple["Found", ...] = ()
    behind: int = 0

    @property
    def part(self) -> Part:
        """As it is now, or was."""
        part = self.new or self.old
        assert part is not None
        return part

    @property
    def kind(self) -> str:
        """The part's."""
        return self.part.kind

    @property
    def values(self) -> tuple[str, str]:
        """What the property was and is."""
        if self.old is None or self.new is None or not self.name:
            return "", ""
        return self.old.properties[self.name], self.new.properties[self.name]

    @property
    def slots(self) -> tuple[str, str]:
        """The PCI device (without function) that it was and is on."""
        return slot_of(self.old), slot_of(self.new)


def slot_of(part: Part | None) -> str:
    """ "0000:3b:00" of a part on PCI."""
    address = _ADDRESS.search(part.place) if part else None
    return address[0].rpartition(".")[0] if address else ""


def folded(found: Iterable[Found]) -> list[Found]:
    """One for each change that a person made."""
    left = [one for one in found if not (one.kind == "PCIe link" and one.what in ("gone", "new"))]
    left = _grouped(left, _same_change)
    left = _grouped(left, _same_card)
    left = _grouped(left, _same_function)
    return _with_disks(_without_followers(left))


def _grouped(found: list[Found], key: Callable[[Found], object]) -> list[Found]:
    """The first of each group tells of the others."""
    groups: dict[object, list[Found]] = {}
    for number, one in enumerate(found):
        groups.setdefault(key(one) or number, []).append(one)
    return [
        Found(one.what, one.old, one.new, one.name, tuple(more)) if more else one
        for one, *more in groups.values()
    ]


def _same_change(one: Found) -> object:
    if one.what != "changed":
        return None
    if one.name in _TOGETHER.get(one.kind, ()):
        return one.kind, one.name, one.values
    if one.name in _OF_SLOT.get(one.kind, ()) and all(one.slots):
        return one.kind, one.name, one.values, one.slots
    return None


def _same_card(one: Found) -> object:
    if one.kind == "NIC" and one.what != "changed" and any(one.slots):
        return one.kind, one.what, one.slots
    return None


def _same_function(one: Found) -> object:
    if one.kind == "PCI device" and one.what in ("gone", "new") and any(one.slots):
        return one.kind, one.what, one.slots
    return None


def _without_followers(found: list[Found]) -> list[Found]:
    """Transceivers and other functions have no sentence beside their card's."""
    cards = [one for one in found if one.kind in _OF_CARD and one.what != "changed"]
    first: dict[object, str] = {}
    for one in cards:
        first.setdefault((one.what, one.slots), one.kind)
    slots = {("gone", one.slots[0]) for one in cards} | {("new", one.slots[1]) for one in cards}
    nics = {(one.what, part.place) for several in cards if several.kind == "NIC"
            for one in (several, *several.more) for part in (one.old, one.new) if part}  # fmt: skip
    return [
        one
        for one in found
        if one.what == "changed"
        or not (
            (one.kind == "optical module" and _places(one) & nics)
            or (one.kind == "PCI device" and (one.what, slot_of(one.part)) in slots)
            # A GPU and an accelerator in one slot are functions of one card.
            or (one in cards and any(one.slots) and first[one.what, one.slots] != one.kind)
        )
    ]


def _places(one: Found) -> set[tuple[str, str]]:
    return {(one.what, part.place) for part in (one.old, one.new) if part}


def _with_disks(found: list[Found]) -> list[Found]:
    """Disks that come and go with the controller that they are behind."""
    holders: dict[tuple[str, str], Found] = {
        (one.what, one.part.place): one for one in found
        if one.kind in ("RAID controller", "PCI device") and one.what in ("gone", "new")
    }  # fmt: skip
    behind: dict[int, int] = {}
    left = []
    for one in found:
        address = _ADDRESS.search(one.part.place) if one.kind == "disk" else None
        holder = holders.get((one.what, address[0])) if address else None
        if holder is None:
            left.append(one)
        else:
            behind[id(holder)] = behind.get(id(holder), 0) + 1
    return [
        Found(one.what, one.old, one.new, one.name, one.more, behind.get(id(one), 0))
        for one in left
    ]


def sentence(found: Found) -> str:
    """What happened, without full stop."""
    part = found.part
    if found.what == "changed":
        had, has = found.values
        return f"{_changed_label(found)}: {found.name} {had}, now {has}"
    if found.what == "replaced" and found.old:
        return f"{_label(found)} was replaced: {_whole(found, old=True)}, now {_whole(found)}"
    if found.what == "moved" and found.old:
        title = f" {_title(found)}" if part.title else ""
        places = (found.old.place, part.place)
        if found.more:
            places = found.slots
        return f"{part.kind}{title} moved from {places[0]} to {places[1]}"
    title = f": {_title(found)}" if part.title else ""
    disks = f", with {found.behind} disk{'s' if found.behind > 1 else ''}" if found.behind else ""
    return f"{_label(found)} is {found.what}{title}{disks}"


def _label(found: Found) -> str:
    if found.more:
        return f"{found.kind} at {slot_of(found.part)}"
    return found.part.label


def _title(found: Found) -> str:
    if not found.more:
        return found.part.title
    if found.kind == "PCI device":
        functions = f"{len(found.more)} more function{'s' if len(found.more) > 1 else ''}"
        return f"{found.part.title} and {functions}"
    return _ports([one.part for one in (found, *found.more)])


def _ports(ports: list[Part]) -> str:
    """A card by its ports: what all have in common once."""
    models = dict.fromkeys(part.properties.get("model", "") for part in ports)
    told = [" ".join(filter(None, (part.name, part.serial))) for part in ports]
    model = " and ".join(filter(None, models))
    return f"{model} with {_listed(told)}".strip()


def _whole(found: Found, *, old: bool = False) -> str:
    """Its title, and the serial number where the title does not hold it."""
    if found.more:
        every = (found, *found.more)
        return _ports([part for one in every if (part := one.old if old else one.new)])
    part = found.old if old and found.old else found.part
    title = part.title or part.kind
    return title if part.serial in title else f"{title} {part.serial}"


def _changed_label(found: Found) -> str:
    """A person looks for a disk by its name and serial number, not by its path."""
    part = found.part
    if found.more:
        return f"{found.kind} at {_listed([one.part.place for one in (found, *found.more)])}"
    named = part.name if part.name and part.kind != "USB device" else ""
    serial = f"serial {part.serial}" if part.kind == "disk" and part.serial else ""
    told = " ".join(filter(None, (named if part.place else "", serial)))
    return f"{part.label} ({told})" if told else part.label


def _listed(texts: Iterable[str]) -> str:
    told = list(_few(texts))
    return ", ".join(told)


def _few(texts: Iterable[str]) -> Iterator[str]:
    every = list(texts)
    yield from every[:_NAMED]
    if len(every) > _NAMED:
        yield f"and {len(every) - _NAMED} more"
