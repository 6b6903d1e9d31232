# SPDX-License-Identifier: Apache-2.0
"""How much each disk was written since power-on: the proof that a survey leaves disks alone."""

from muster.collect.reading import Reader, Root
from muster.wire.section import Section
from muster.wire.shape import dataclass, field

_BLOCK = "/sys/block"


@dataclass
class DiskWrites(Section):
    """Sectors of 512 bytes written, by disk."""

    sectors: dict[str, int] = field(default_factory=dict)


def probe(root: Root) -> DiskWrites:
    """Every disk of hardware (loop, RAM and device-mapper disks have no device)."""
    reader = Reader(root)
    disks = (name for name in reader.names(_BLOCK) if reader.exists(f"{_BLOCK}/{name}/device"))
    counted = ((name, _sectors(reader, f"{_BLOCK}/{name}/stat")) for name in disks)
    sectors = {name: count for name, count in counted if count is not None}
    return DiskWrites(errors=reader.complaints, sectors=sectors)


def _sectors(reader: Reader, path: str) -> int | None:
    """Field 7 of the kernel's Documentation/block/stat.rst."""
    fields = reader.text(path).split()
    if not fields:
        return None
    if len(fields) < 7 or not (fields[6].isascii() and fields[6].isdecimal()):
        reader.complain(path, "has no count of sectors written in field 7")
        return None
    return int(fields[6][:18])
