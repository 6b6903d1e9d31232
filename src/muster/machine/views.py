# SPDX-License-Identifier: Apache-2.0
"""Compares what a machine says of itself with what its BMC says of it.

Only what both state counts. A BMC that sees fewer disks or NICs is usual (it sees what is behind
its own wires); a part that the BMC sees and the system does not is a finding.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from muster.machine.identity import swapped, usable_mac, usable_serial, usable_uuid
from muster.wire.resources import Document

# Firmware keeps some memory for itself: the system sees up to this share less.
_KEPT = 0.05


@dataclass(frozen=True)
class Disagreement:
    """`what` in words; `inside` is the system's word, `outside` the BMC's."""

    what: str
    inside: str
    outside: str


def disagreements(inside: Document, outside: Document) -> list[Disagreement]:
    """Every difference between the two views that a person should look at."""
    ours, theirs = inside.resources, outside.resources
    found = []
    pairs = [
        ("serial number", usable_serial(ours.system.serial), usable_serial(theirs.system.serial)),
        ("processors", str(len(ours.cpu.sockets) or ""), str(len(theirs.cpu.sockets) or "")),
        ("threads", str(ours.cpu.total or ""), str(theirs.cpu.total or "")),
    ]
    if ours.system.firmware and theirs.system.firmware:
        versions = (ours.system.firmware.version, theirs.system.firmware.version)
        pairs.append(("firmware version", *versions))
    for what, mine, other in pairs:
        if mine and other and mine != other:
            found.append(Disagreement(what, mine, other))
    found += _uuids(ours.system.uuid, theirs.system.uuid)
    found += _memory(ours.memory.total, theirs.memory.total)
    found += _missing("DIMM", _dimms(inside), _dimms(outside))
    disks = ([d.serial for d in ours.storage.disks], [d.serial for d in theirs.storage.disks])
    found += _missing("disk", *disks)
    found += _missing("NIC", _macs(inside), _macs(outside))
    return found


def _uuids(ours: str, theirs: str) -> list[Disagreement]:
    mine, other = usable_uuid(ours)[0], usable_uuid(theirs)[0]
    if not mine or not other or mine in (other, swapped(other)):
        return []
    return [Disagreement("hardware UUID", mine, other)]


def _memory(ours: int, theirs: int) -> list[Disagreement]:
    if not ours or not theirs or theirs * (1 - _KEPT) <= ours <= theirs:
        return []
    return [Disagreement("memory", f"{ours / (1 << 30):.1f} GiB", f"{theirs / (1 << 30):.1f} GiB")]


def _missing(kind: str, ours: Iterable[str], theirs: Iterable[str]) -> list[Disagreement]:
    mine = {_plain(serial) for serial in ours if usable_serial(serial)}
    if not mine:
        return []
    lost = {serial for serial in theirs if usable_serial(serial) and _plain(serial) not in mine}
    return [Disagreement(f"{kind} {serial}", "not there", "there") for serial in sorted(lost)]


def _plain(serial: str) -> str:
    """BMCs write a serial number in other letters and with other zeros before it."""
    return serial.strip().lower().lstrip("0")


def _dimms(document: Document) -> list[str]:
    return [dimm.serial for dimm in document.extra.dimms.slots] if document.extra else []


def _macs(document: Document) -> list[str]:
    ports = (port for card in document.resources.network.cards for port in card.ports)
    return [mac for port in ports if (mac := usable_mac(port.address))]
