# SPDX-License-Identifier: Apache-2.0
"""Disks that the kernel shows several times because several paths lead to them, as one."""

import re
from collections.abc import Iterable

from muster.machine.identity import usable_serial
from muster.wire.hardware import Disk
from muster.wire.resources import line

_PATHS = re.compile(r"-(?:fc|sas|ip|vmbus)-")
"""How a disk is reached when it may be reached twice: udev's names of such buses."""


def condensed(disks: Iterable[Disk]) -> list[list[Disk]]:
    """Each disk with all its paths, in the order in which the kernel found the first of them.

    One is what has WWN, serial number and size in common; without a WWN only where the bus is one
    of several paths, as two USB bridges may show the serial number of their maker.
    """
    found: dict[object, list[Disk]] = {}
    for number, disk in enumerate(disks):
        serial = line(usable_serial(disk.serial))
        several = bool(disk.wwn) or bool(_PATHS.search(disk.device_path))
        known = serial and several and disk.type not in ("cdrom", "nvme")
        key = (line(disk.wwn), serial, disk.size) if known else number
        same = found.setdefault(key, [])
        if same and disk.device_path in {"", *(one.device_path for one in same)}:
            # Twice on one path is a document that says it twice, not another path.
            found[number] = [disk]
        else:
            same.append(disk)
    return list(found.values())
