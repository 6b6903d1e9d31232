# SPDX-License-Identifier: Apache-2.0
"""RAID controllers, with the disks that each shows to the kernel and those it keeps to itself."""

from muster.collect.buses import PCI, Names, describe
from muster.collect.members import ask_members
from muster.collect.reading import Reader, Root
from muster.wire.peripherals import RaidController, RaidControllers

_BLOCK = "/sys/block"
_HOSTS = "/sys/class/scsi_host"
_RAID_CLASS = "0x0104"
# Drivers of controllers with RAID whose class may be SAS or "other storage".
_RAID_DRIVERS = {"megaraid_sas", "hpsa", "smartpqi", "aacraid", "mpi3mr", "arcmsr", "3w-sas", "ips"}
_FIRMWARE = ("firmware_version", "fw_version", "version_fw", "hba_kernel_version", "firmware_rev")


def probe(root: Root) -> RaidControllers:
    """By class 0x0104, or by a driver that only RAID controllers have."""
    reader = Reader(root)
    names = Names(reader)
    found = [name for name in reader.names(PCI) if _is_raid(reader, f"{PCI}/{name}")]
    if not found:
        return RaidControllers(errors=reader.complaints)
    disks = {name: reader.real(f"{_BLOCK}/{name}/device") for name in reader.names(_BLOCK)}
    hosts = {name: reader.real(f"{_HOSTS}/{name}") for name in reader.names(_HOSTS)}
    controllers = [_read_controller(reader, names, address, disks, hosts) for address in found]
    if reader.live:
        ask_members(reader, controllers)
    return RaidControllers(controllers=controllers, errors=reader.complaints)


def _is_raid(reader: Reader, folder: str) -> bool:
    told = reader.text(f"{folder}/class").startswith(_RAID_CLASS)
    return told or reader.link(f"{folder}/driver") in _RAID_DRIVERS


def _read_controller(
    reader: Reader, names: Names, address: str, disks: dict[str, str], hosts: dict[str, str]
) -> RaidController:
    controller = RaidController(address)
    describe(names, reader, controller, f"{PCI}/{address}")
    controller.disks = [name for name, real in disks.items() if f"/{address}/" in real]
    controller.hosts = [name for name, real in hosts.items() if f"/{address}/" in real]
    told = (
        reader.text(f"{_HOSTS}/{host}/{name}") for host in controller.hosts for name in _FIRMWARE
    )
    controller.firmware_version = next(filter(None, told), "")
    return controller
