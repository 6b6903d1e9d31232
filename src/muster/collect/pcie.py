# SPDX-License-Identifier: Apache-2.0
"""PCIe links now, at most, and against the port above; classes, slots and errors of functions."""

import re

from muster.collect.buses import PCI, iommu_group
from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures
from muster.wire.peripherals import Pcie, PcieFunction, PcieLink

_SLOTS = "/sys/bus/pci/slots"
_SYSTEM_SLOT, _ON_BOARD = 9, 41
_SPEED = re.compile(r"([0-9]{1,3}(?:\.[0-9])?) GT/s(?: PCIe)?")
_WIDTHS = (1, 2, 4, 8, 12, 16, 32)
_BRIDGE_CLASS, _HOST_BRIDGE = "0x0604", "0x0600"


def probe(root: Root) -> Pcie:
    """All PCI functions. A device that renegotiates its speed when idle shows as degraded."""
    reader = Reader(root)
    slots = _board_slots(reader) | _read_slots(reader)
    functions = [_read_function(reader, address, slots) for address in reader.names(PCI)]
    return Pcie(
        functions=functions,
        degraded=[function.pci_address for function in functions if function.degraded],
        errors=reader.complaints,
    )


def _read_function(reader: Reader, address: str, slots: dict[str, str]) -> PcieFunction:
    folder = f"{PCI}/{address}"
    real = reader.real(folder)
    port = real.rpartition("/")[0]
    function = PcieFunction(
        pci_address=address,
        class_id=reader.text(f"{folder}/class").removeprefix("0x"),
        revision=reader.text(f"{folder}/revision").removeprefix("0x"),
        subsystem_vendor_id=reader.text(f"{folder}/subsystem_vendor").removeprefix("0x"),
        subsystem_id=reader.text(f"{folder}/subsystem_device").removeprefix("0x"),
        slot=slots.get(address) or slots.get(address.rpartition(".")[0], ""),
        iommu_group=iommu_group(reader, folder),
        link=_read_link(reader, folder, "current"),
        maximum=_read_link(reader, folder, "max"),
        errors_correctable=_read_total(reader, f"{folder}/aer_dev_correctable"),
        errors_nonfatal=_read_total(reader, f"{folder}/aer_dev_nonfatal"),
        errors_fatal=_read_total(reader, f"{folder}/aer_dev_fatal"),
    )
    if reader.text(f"{port}/class").startswith(_BRIDGE_CLASS):
        function.port = port.rpartition("/")[2]
        function.parent = _read_link(reader, port, "max")
    function.degraded = _degradation(function)
    return function


def _read_link(reader: Reader, folder: str, kind: str) -> PcieLink | None:
    """None where there is no link, which drivers say as width 0 or "Unknown"."""
    text = reader.text(f"{folder}/{kind}_link_speed")
    match = _SPEED.fullmatch(text)
    width = reader.count(f"{folder}/{kind}_link_width")
    # 63 is what the width's six bits read as when the function does not answer.
    return PcieLink(float(match[1]), width) if match and width in _WIDTHS else None


def _degradation(function: PcieFunction) -> str:
    """Against the lower of what both ends can; a port itself has no end above it to compare."""
    link, maximum, parent = function.link, function.maximum, function.parent
    if link is None or maximum is None or parent is None:
        return ""
    speed = min(maximum.speed, parent.speed)
    width = min(maximum.width, parent.width)
    lacks = []
    if link.speed < speed:
        lacks.append(f"{link.speed:g} of {speed:g} GT/s")
    if link.width < width:
        lacks.append(f"x{link.width} of x{width}")
    return ", ".join(lacks)


def _read_total(reader: Reader, path: str) -> int:
    """The last line of AER's counters: "TOTAL_ERR_COR 0"."""
    last = reader.text(path).rpartition("\n")[2].split()
    return int(last[1][:18]) if len(last) == 2 and last[1].isascii() and last[1].isdecimal() else 0


def _read_slots(reader: Reader) -> dict[str, str]:
    """The kernel's slots have addresses without a function: "0000:3b:00"."""
    return {reader.text(f"{_SLOTS}/{name}/address"): name for name in reader.names(_SLOTS)}


def _board_slots(reader: Reader) -> dict[str, str]:
    """Printed names of slots (DSP0134 7.10) and of devices on the board (7.42)."""
    found: dict[str, str] = {}
    for item in structures(reader):
        if item.type == _SYSTEM_SLOT and item.has(0x10):
            found[_address(item, 0x0D)] = item.text(0x04)
        elif item.type == _ON_BOARD and item.has(0x0A):
            found[_address(item, 0x07)] = item.text(0x04)
    return found


def _address(item: Structure, place: int) -> str:
    """Segment (a word), bus, device and function (5 and 3 bits)."""
    segment, bus, function = item.number(place, 2), item.number(place + 2), item.number(place + 3)
    return f"{segment:04x}:{bus:02x}:{function >> 3:02x}.{function & 7}"
