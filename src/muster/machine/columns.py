# SPDX-License-Identifier: Apache-2.0
"""What conditions can ask of a machine: every column with its kind and where its value lies.

Facts are plain data: the record's fields, `macs`, and under "hardware" what facts.py read from
the last resources document. A column "disk.size" is one of each disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.machine.quantities import Kind

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """`path` leads from the facts, or from an item of the list `of`, to the value."""

    name: str
    kind: Kind
    path: tuple[str, ...]
    help: str
    of: str = ""

    @property
    def label(self) -> str:
        """The name within its list."""
        return self.name.removeprefix(f"{self.of}.") if self.of else self.name

    def read(self, facts: Facts) -> Any:
        """The value, or None where it is not known: not stated, empty, or of another type."""
        value: Any = facts
        for step in self.path:
            value = value.get(step) if isinstance(value, Mapping) else None
        fits = isinstance(value, _TYPES[self.kind]) and value != ""
        # True is an int to Python, but no number of cores.
        return value if fits and (self.kind is Kind.FLAG or value is not True) else None


_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.NUMBER: (int, float),
    Kind.SIZE: int,
    Kind.SPEED: int,
    Kind.FLAG: bool,
    Kind.MOMENT: datetime,
}

LISTS: dict[str, tuple[str, ...]] = {
    "disk": ("hardware", "disks"),
    "nic": ("hardware", "nics"),
    "gpu": ("hardware", "gpus"),
    "dimm": ("hardware", "dimms"),
    "mac": ("macs",),
    "tag": ("tags",),
}

_T, _N, _SIZE, _SPEED, _FLAG, _MOMENT = Kind

# name | kind | help; a record's column unless the path says hardware.
_RECORD = (
    ("name", _T, "the machine's name"),
    ("id", _T, "the record's id"),
    ("state", _T, 'New, Commissioning, Ready, "Failed commissioning" ...'),
    ("uuid", _T, "hardware UUID"),
    ("serial", _T, "serial number"),
    ("vendor", _T, "who made the machine"),
    ("product", _T, "the model"),
    ("architecture", _T, "x86_64, aarch64 ..."),
    ("firmware", _T, "how it booted: bios or uefi"),
    ("pool", _T, "the pool it is in"),
    ("rack", _T, "the rack it stands in, by the manifest"),
    ("rack_unit", _N, "the lowest unit of the rack that it takes, by the manifest"),
    ("power_driver", _T, "how it is switched: manual, webhook, redfish ..."),
    ("permitted", _FLAG, "may send its data"),
    ("created_at", _MOMENT, "when it was first met"),
    ("updated_at", _MOMENT, "when its record last changed"),
    ("surveyed_at", _MOMENT, "when it was last surveyed"),
)
_HARDWARE = (
    ("cpu.cores", _N, "cores of all sockets"),
    ("cpu.threads", _N, "logical CPUs"),
    ("cpu.sockets", _N, "populated sockets"),
    ("cpu.model", _T, "the processor's name, where all sockets share it"),
    ("memory", _SIZE, "memory that the kernel has"),
    ("numa.nodes", _N, "NUMA nodes"),
    ("virtual", _FLAG, "a virtual machine or container"),
    ("bios.vendor", _T, "who wrote the firmware"),
    ("bios.version", _T, "the firmware's version"),
    ("secure_boot", _FLAG, "Secure Boot is on"),
    ("tpm", _FLAG, "has a TPM"),
    ("tpm.version", _T, "the TPM's specification: 1.2 or 2.0"),
    ("bmc", _FLAG, "has a BMC"),
    ("bmc.firmware", _T, "the BMC's firmware"),
    ("pcie.degraded", _N, "devices whose PCIe link is narrower or slower than it could be"),
    ("disk.count", _N, "disks"),
    ("nic.count", _N, "network ports"),
    ("gpu.count", _N, "graphics cards"),
    ("dimm.count", _N, "memory modules"),
)
_ITEMS = (
    ("disk.name", _T, "sda, nvme0n1 ..."),
    ("disk.model", _T, "model"),
    ("disk.serial", _T, "serial number"),
    ("disk.wwn", _T, "world wide name"),
    ("disk.type", _T, "nvme, sata, scsi, virtio ..."),
    ("disk.firmware", _T, "firmware version"),
    ("disk.size", _SIZE, "capacity"),
    ("disk.rotational", _FLAG, "it turns"),
    ("disk.paths", _N, "paths that lead to it, 1 for most"),
    ("nic.name", _T, "interface"),
    ("nic.mac", _T, "permanent address"),
    ("nic.vendor", _T, "the card's vendor"),
    ("nic.product", _T, "the card's model"),
    ("nic.driver", _T, "kernel driver"),
    ("nic.firmware", _T, "firmware version"),
    ("nic.speed", _SPEED, "speed of the link, where there is one"),
    ("nic.link", _FLAG, "has a link"),
    ("gpu.vendor", _T, "vendor"),
    ("gpu.product", _T, "model"),
    ("gpu.driver", _T, "kernel driver"),
    ("dimm.slot", _T, "the slot's name on the board"),
    ("dimm.size", _SIZE, "capacity"),
    ("dimm.type", _T, "DDR4, DDR5 ..."),
    ("dimm.speed", _N, "configured speed in MT/s"),
    ("dimm.manufacturer", _T, "manufacturer"),
    ("dimm.part", _T, "part number"),
    ("dimm.serial", _T, "serial number"),
)


def _table() -> dict[str, Column]:
    found = [Column(name, kind, (name,), told) for name, kind, told in _RECORD]
    found += [Column(name, kind, ("hardware", name), told) for name, kind, told in _HARDWARE]
    for name, kind, told in _ITEMS:
        of, _, label = name.partition(".")
        found.append(Column(name, kind, (label,), told, of))
    found.append(Column("mac", Kind.TEXT, (), "a MAC on its record", "mac"))
    found.append(Column("tag", Kind.TEXT, (), "a tag it has, from whatever source", "tag"))
    return {column.name: column for column in found}


COLUMNS = _table()


def items(facts: Facts, of: str) -> list[Any] | None:
    """The items of a list, or None where the list is not known."""
    value: Any = facts
    for step in LISTS[of]:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else None
