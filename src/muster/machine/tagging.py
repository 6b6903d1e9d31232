# SPDX-License-Identifier: Apache-2.0
"""Names of tags and pools, what a definition may ask, and the tags that hardware gives itself."""

import re
from collections.abc import Iterator

from muster.machine.conditions import Node, columns_of
from muster.machine.facts import line
from muster.machine.grammar import parse
from muster.machine.multipath import condensed
from muster.wire.hardware import Disk
from muster.wire.resources import Document, summary

NAME = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
_NAME = re.compile(NAME)
REMEDY = "letters, digits, '_', '.' and '-', at most 64"

_TOLD = frozenset({"uuid", "serial", "vendor", "product", "architecture", "firmware", "mac"})
"""What a machine tells about itself; all else of the record changes without a new inventory."""


class BadDefinition(ValueError):
    """A definition that cannot give a tag; the message says why and the remedy."""


def valid(name: str) -> bool:
    """True for what may be the name of a tag or pool."""
    return bool(_NAME.fullmatch(name))


def definition(text: str) -> Node:
    """The condition of a tag; raises BadDefinition, or grammar's BadExpression."""
    node = parse(text)
    for column in columns_of(node):
        if column.of == "tag":
            raise BadDefinition("a definition cannot ask for tags, they might go round: use a rule")
        if column.of in ("", "mac") and column.path[:1] != ("hardware",):
            _check_told(column.name)
    return node


def _check_told(name: str) -> None:
    if name not in _TOLD:
        raise BadDefinition(
            f"{name} is not told by the machine: a definition asks for hardware; use a rule"
        )


def automatic(document: Document) -> dict[str, str]:
    """MAAS's own tags, each with the reason; of all disks and NICs together."""
    found: dict[str, str] = {}
    if summary(document).virtual:
        found["virtual"] = f"the system is {line(document.resources.system.type)}"
    for tag, because in _of_disks(document.resources.storage.disks):
        found.setdefault(tag, because)
    for card in document.resources.network.cards:
        if card.sriov and card.sriov.maximum_vfs:
            told = f"NIC {line(card.pci_address)} has up to {card.sriov.maximum_vfs} VFs"
            found.setdefault("sriov", told)
    return found


def _of_disks(disks: list[Disk]) -> Iterator[tuple[str, str]]:
    for disk in disks:
        if disk.type != "cdrom":
            yield from _of_disk(disk)
    for paths in condensed(disks):
        if len(paths) > 1:
            names = ", ".join(line(disk.id) for disk in paths[:8])
            yield "multipath", f"disks {names} are one, serial {line(paths[0].serial)}"


def _of_disk(disk: Disk) -> Iterator[tuple[str, str]]:
    name = f"disk {line(disk.id)}"
    if disk.rpm > 0:
        yield f"{disk.rpm}rpm", f"{name} turns at {disk.rpm} rpm"
    if disk.rpm > 0 or disk.rotational:
        yield "rotary", f"{name} turns"
    elif disk.rotational is False:
        yield "ssd", f"{name} does not turn"
    if disk.type == "sata":
        yield "sata", f"{name} is a SATA disk"
    if disk.removable:
        yield "removable", f"{name} is removable"
