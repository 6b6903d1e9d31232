# SPDX-License-Identifier: Apache-2.0
"""The disks that a RAID controller keeps to itself, asked through its driver by smartctl.

LSI's and Broadcom's (megaraid_sas) are listed by `smartctl --scan-open`; HP's and Microchip's
(hpsa, smartpqi) are asked for one number after another, smartctl(8) under `-d cciss,N`. Others have
no way in without their makers' tools.
"""

from muster.collect.reading import Reader
from muster.collect.smartctl import ask, count, fill, inside, scan, text
from muster.wire.peripherals import RaidController, RaidDisk

_GENERIC = "/sys/class/scsi_generic"
_ARRAY_CONTROLLER = 12  # SPC-4 table 49: storage array controller device.
_BY_NUMBER = {"hpsa", "smartpqi"}
_ROUND, _MOST = 16, 256


def ask_members(reader: Reader, controllers: list[RaidController]) -> None:
    """Fill `members` of those that can be asked; nothing without smartctl."""
    scanned = [one for one in controllers if one.driver == "megaraid_sas"]
    if scanned:
        devices = inside(scan(reader), "devices")
        for controller in scanned:
            buses = {f"/dev/bus/{host.removeprefix('host')}" for host in controller.hosts}
            controller.members = _scanned(reader, devices, buses)
    for controller in controllers:
        if controller.driver in _BY_NUMBER:
            controller.members = _numbered(reader, controller)


def _scanned(reader: Reader, devices: object, buses: set[str]) -> list[RaidDisk]:
    found: dict[str, list[str]] = {}
    for device in devices if isinstance(devices, list) else []:
        path, kind = text(device, "name"), text(device, "type")
        # A SATA disk's is "sat+megaraid,8".
        if path in buses and "megaraid," in kind:
            found[kind.rpartition("+")[2]] = ["-d", kind, path]
    told = ask(reader, list(found.values()))
    return [_member(name, one) for name, one in zip(found, told, strict=True)]


def _numbered(reader: Reader, controller: RaidController) -> list[RaidDisk]:
    device = _generic(reader, controller)
    found: list[RaidDisk] = []
    for first in range(0, _MOST, _ROUND) if device else ():
        names = [f"cciss,{number}" for number in range(first, first + _ROUND)]
        told = ask(reader, [["-d", name, device] for name in names])
        more = [_member(name, one) for name, one in zip(names, told, strict=True)]
        more = [disk for disk in more if disk.model or disk.serial]
        if not more:
            break
        found += more
    return found


def _generic(reader: Reader, controller: RaidController) -> str:
    """The SCSI generic device of the controller itself; "" if there is none."""
    for name in reader.names(_GENERIC, "sg"):
        device = f"{_GENERIC}/{name}/device"
        if (
            f"/{controller.pci_address}/" in reader.real(device)
            and reader.number(f"{device}/type") == _ARRAY_CONTROLLER
        ):
            return f"/dev/{name}"
    return ""


def _member(name: str, told: object) -> RaidDisk:
    disk = RaidDisk(
        name,
        vendor=text(told, "scsi_vendor") or text(told, "vendor"),
        model=text(told, "model_name") or text(told, "scsi_product") or text(told, "product"),
        serial=text(told, "serial_number"),
        firmware_version=text(told, "firmware_version") or text(told, "scsi_revision"),
        protocol=text(told, "device", "protocol"),
        size=count(told, "user_capacity", "bytes") or 0,
        rpm=count(told, "rotation_rate"),
    )
    fill(told, disk)
    return disk
