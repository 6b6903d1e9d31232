# SPDX-License-Identifier: Apache-2.0
"""How each disk is: NVMe's health log, SMART by smartctl, and what sysfs knows of paths and state.

No disk is opened by this process: a dying one would hold it in the kernel for ever. NVMe's log
is asked of the controller with a time limit that the kernel keeps; the rest is smartctl's.
"""

import array
import fcntl
import os
import re
import struct

from muster.collect.reading import Reader, Root
from muster.collect.smartctl import ask, fill
from muster.wire.peripherals import DiskHealth, Health, NvmePath

_BLOCK = "/sys/block"
_NVME = "/sys/class/nvme"
_CONTROLLER = re.compile(r"nvme[0-9]{1,4}")
# Disks of hypervisors, which have no health; those on their ATA buses answer at least.
_VIRTUAL_VENDORS = {"QEMU", "VMware", "Msft", "VBOX", "XENSRC", "Google"}
_DISK_TYPES = {0, 14}  # SPC-4 table 49: direct access, and its simplified form.

# <linux/nvme_ioctl.h>; NVM Express Base 2.0, 5.16.1.3: log page 02h.
_ADMIN_COMMAND = 0xC0484E41
_COMMAND = "=BBHIIIQQII6III"
_GET_LOG_PAGE, _ALL_NAMESPACES, _HEALTH_LOG = 0x02, 0xFFFFFFFF, 0x02
_LOG_SIZE, _TIMEOUT_MS = 512, 3000
_WARNINGS = (
    "spare below threshold",
    "temperature beyond threshold",
    "reliability degraded",
    "read-only",
    "backup of volatile memory failed",
    "persistent memory region unreliable",
)
_DATA_UNIT = 512_000


def probe(root: Root) -> DiskHealth:
    """Every disk of hardware; a recorded tree has only what sysfs tells."""
    reader = Reader(root)
    names = [name for name in reader.names(_BLOCK) if reader.exists(f"{_BLOCK}/{name}/device")]
    disks = [_read_disk(reader, name) for name in names]
    if reader.live:
        _ask_smartctl(reader, [disk for disk in disks if _may_have_smart(reader, disk.disk)])
    return DiskHealth(disks=disks, errors=reader.complaints)


def _read_disk(reader: Reader, name: str) -> Health:
    device = f"{_BLOCK}/{name}/device"
    controllers = _controllers(reader, device)
    disk = Health(
        name,
        temperature=_temperature(reader, device),
        state=reader.text(f"{device}/state"),
        sas_address=reader.text(f"{device}/sas_address"),
        subsystem=reader.text(f"{device}/subsysnqn"),
        paths=[_read_path(reader, controller) for controller in controllers],
    )
    if controllers:
        disk.transport = disk.paths[0].transport
        live = (path.controller for path in disk.paths if path.state == "live")
        _ask_nvme(reader, next(live, controllers[0]), disk)
    return disk


def _controllers(reader: Reader, device: str) -> list[str]:
    """Of an NVMe namespace: its own, or with multipath all those of its subsystem."""
    real = reader.real(device)
    if _CONTROLLER.fullmatch(real.rpartition("/")[2]):
        return [real.rpartition("/")[2]]
    if "/nvme-subsystem/" in real:
        return [name for name in reader.names(real) if _CONTROLLER.fullmatch(name)]
    return []


def _read_path(reader: Reader, controller: str) -> NvmePath:
    folder = f"{_NVME}/{controller}"
    return NvmePath(
        controller=controller,
        transport=reader.text(f"{folder}/transport"),
        address=reader.text(f"{folder}/address"),
        state=reader.text(f"{folder}/state"),
    )


def _temperature(reader: Reader, device: str) -> float | None:
    """The first sensor of the drivers nvme and drivetemp, in thousandths of a degree."""
    for folder in (f"{device}/hwmon", device):
        for name in reader.names(folder, "hwmon"):
            if name != "hwmon":
                degrees = reader.number(f"{folder}/{name}/temp1_input")
                return None if degrees is None else degrees / 1000
    return None


def _ask_nvme(reader: Reader, controller: str, disk: Health) -> None:
    device = f"/dev/{controller}"
    channel = reader.device(device, os.O_RDONLY)
    if channel is None:
        return
    try:
        log = _health_log(channel)
    except OSError as error:
        reader.complain(device, error.strerror or str(error))
        return
    finally:
        os.close(channel)
    if log is None:
        reader.complain(device, "the controller has no health log")
    else:
        read_nvme(log, disk)


def _health_log(channel: int) -> bytes | None:
    log = array.array("B", bytes(_LOG_SIZE))
    words = _HEALTH_LOG | (_LOG_SIZE // 4 - 1) << 16
    command = struct.pack(
        _COMMAND,
        *(_GET_LOG_PAGE, 0, 0, _ALL_NAMESPACES, 0, 0, 0, log.buffer_info()[0], 0, _LOG_SIZE),
        *(words, 0, 0, 0, 0, 0, _TIMEOUT_MS, 0),
    )
    status = fcntl.ioctl(channel, _ADMIN_COMMAND, bytearray(command))
    return None if status else log.tobytes()


def read_nvme(log: bytes, disk: Health) -> None:
    """Fill `disk` from the health log (512 bytes); temperatures are in Kelvin, 0 is none."""

    def counter(place: int) -> int | None:
        number = int.from_bytes(log[place : place + 16], "little")
        return number if number < 1 << 54 else None  # More than any disk can have.

    kelvin = int.from_bytes(log[1:3], "little")
    read, written = counter(32), counter(48)
    disk.source = "nvme"
    disk.warnings = [text for bit, text in enumerate(_WARNINGS) if log[0] >> bit & 1]
    disk.passed = log[0] == 0
    disk.temperature = float(kelvin - 273) if kelvin else disk.temperature
    disk.available_spare, disk.percentage_used = log[3], log[5]
    disk.bytes_read = None if read is None else read * _DATA_UNIT
    disk.bytes_written = None if written is None else written * _DATA_UNIT
    disk.power_cycles, disk.power_on_hours = counter(112), counter(128)
    disk.unsafe_shutdowns, disk.media_errors = counter(144), counter(160)


def _may_have_smart(reader: Reader, name: str) -> bool:
    device = f"{_BLOCK}/{name}/device"
    return (
        reader.link(f"{device}/subsystem") == "scsi"
        and reader.number(f"{device}/type") in _DISK_TYPES
        and reader.text(f"{device}/vendor") not in _VIRTUAL_VENDORS
    )


def _ask_smartctl(reader: Reader, disks: list[Health]) -> None:
    paths = [[f"/dev/{disk.disk}"] for disk in disks]
    for disk, told in zip(disks, ask(reader, paths), strict=True):
        fill(told, disk)
