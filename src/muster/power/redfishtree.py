# SPDX-License-Identifier: Apache-2.0
"""What a BMC knows of its machine, by Redfish, as a resources document marked out-of-band.

Reads a ComputerSystem's Processors, Memory, Storage with its Drives (else SimpleStorage) and
EthernetInterfaces (DSP0268). One request at a time: BMCs are slow and few of their threads answer.
What a BMC cannot read is left out; what it says of the wrong type is not stated.
"""

from collections.abc import AsyncIterator
from typing import Any

from muster.power.drivers import PowerError
from muster.power.https import Link

MARK = "redfish"
_REQUESTS = 400
_TEXT = 256
_ARCHITECTURES = {"x86-64": "x86_64", "ARM-A64": "aarch64", "PowerISA": "ppc64le"}
_PROTOCOLS = {"NVMe": "nvme", "SATA": "sata", "SAS": "scsi", "PCIe": "nvme", "USB": "usb"}
_MOST = 1 << 50


class _Tree:
    """A link that asks for a bounded number of things."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._left = _REQUESTS
        self.missing: list[str] = []

    async def get(self, path: object) -> dict[str, Any]:
        """The resource, {} for what the BMC cannot show."""
        if not isinstance(path, str) or not path.startswith("/") or self._left <= 0:
            return {}
        self._left -= 1
        try:
            return (await self._link.get(path)).body
        except PowerError as error:
            self.missing.append(str(error)[:_TEXT])
            return {}

    async def members(self, system: dict[str, Any], name: str) -> AsyncIterator[dict[str, Any]]:
        """The members of a collection that the system links to."""
        collection = await self.get(_object(system, name).get("@odata.id"))
        for member in _list(collection, "Members"):
            yield await self.get(member.get("@odata.id")) or {}


async def document(link: Link, system: dict[str, Any]) -> dict[str, Any]:
    """The document; what `wire.resources.read_document` takes, and `missing`: what failed."""
    tree = _Tree(link)
    sockets, threads, architecture = await _processors(tree, system)
    dimms = await _dimms(tree, system)
    disks = await _disks(tree, system)
    cards = await _cards(tree, system)
    installed = sum(dimm["size"] for dimm in dimms)
    summed = _number(_object(system, "MemorySummary"), "TotalSystemMemoryGiB") << 30
    return {
        "api_version": "1.0",
        "api_extensions": ["resources", "resources_v2"],
        "environment": {"server": MARK, "source": "out-of-band"},
        "resources": {
            "cpu": {"architecture": architecture, "sockets": sockets, "total": threads},
            "memory": {"total": installed or summed},
            "network": {"cards": cards, "total": len(cards)},
            "storage": {"disks": disks, "total": len(disks)},
            "system": _system(system),
        },
        "extra": {"schema": "muster.extra/1", "dimms": {"slots": dimms}},
        "missing": tree.missing,
    }


def serial_of(system: dict[str, Any]) -> str:
    """The serial number that the machine's own SMBIOS shows."""
    if _text(system, "Manufacturer").startswith("Dell"):
        # SMBIOS has the service tag, which Redfish calls SKU; SerialNumber is the board's.
        return _text(system, "SKU") or _text(system, "SerialNumber")
    return _text(system, "SerialNumber")


def _system(system: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": _text(system, "UUID").lower(),
        "vendor": _text(system, "Manufacturer"),
        "product": _text(system, "Model"),
        "sku": _text(system, "SKU"),
        "serial": serial_of(system),
        "type": "physical",
        "firmware": {"version": _text(system, "BiosVersion")},
    }


async def _processors(tree: _Tree, system: dict[str, Any]) -> tuple[list[dict[str, Any]], int, str]:
    """Sockets, threads in all, architecture; GPUs are processors, too, and are left out."""
    sockets: list[dict[str, Any]] = []
    threads, architecture = 0, ""
    async for one in tree.members(system, "Processors"):
        if _text(one, "ProcessorType") not in ("", "CPU") or not _present(one):
            continue
        cores = min(4096, _number(one, "TotalCores"))
        each = max(1, min(16, _number(one, "TotalThreads") // cores if cores else 1))
        sockets.append(
            {
                "socket": len(sockets),
                "name": _text(one, "Model"),
                "vendor": _text(one, "Manufacturer"),
                "cores": [
                    {
                        "core": core,
                        "threads": [
                            {"id": threads + core * each + thread, "thread": thread}
                            for thread in range(each)
                        ],
                    }
                    for core in range(cores)
                ],
            }
        )
        threads += cores * each
        architecture = architecture or _ARCHITECTURES.get(_text(one, "InstructionSet"), "")
    return sockets, threads, architecture


async def _dimms(tree: _Tree, system: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "slot": _text(one, "DeviceLocator") or _text(one, "Name") or _text(one, "Id"),
            "size": _number(one, "CapacityMiB") << 20,
            "type": _text(one, "MemoryDeviceType"),
            "configured_speed": _number(one, "OperatingSpeedMhz"),
            "manufacturer": _text(one, "Manufacturer"),
            "part": _text(one, "PartNumber"),
            "serial": _text(one, "SerialNumber"),
        }
        async for one in tree.members(system, "Memory")
        if _present(one)
    ]


async def _disks(tree: _Tree, system: dict[str, Any]) -> list[dict[str, Any]]:
    disks = []
    async for storage in tree.members(system, "Storage"):
        for link in _list(storage, "Drives"):
            drive = await tree.get(link.get("@odata.id"))
            if drive and _present(drive):
                disks.append(_disk(drive))
    if disks:
        return disks
    async for storage in tree.members(system, "SimpleStorage"):
        disks += [_disk(device) for device in _list(storage, "Devices") if _present(device)]
    return disks


def _disk(drive: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _text(drive, "Id") or _text(drive, "Name"),
        "model": _text(drive, "Model"),
        "serial": _text(drive, "SerialNumber"),
        "size": _number(drive, "CapacityBytes"),
        "type": _PROTOCOLS.get(_text(drive, "Protocol"), ""),
        "rpm": _number(drive, "RotationSpeedRPM"),
        "rotational": _text(drive, "MediaType") == "HDD",
        "firmware_version": _text(drive, "Revision") or _text(drive, "FirmwareVersion"),
    }


async def _cards(tree: _Tree, system: dict[str, Any]) -> list[dict[str, Any]]:
    """Each port as a card of its own: which share one is not said here."""
    cards = []
    async for nic in tree.members(system, "EthernetInterfaces"):
        mac = _text(nic, "PermanentMACAddress") or _text(nic, "MACAddress")
        # The line from host to BMC, and on BlueField the BMC's own, are no NICs of the machine.
        inner = "HostInterface" in _object(nic, "Links") or _text(nic, "Id") == "ToManager"
        if not mac or inner or "/Managers/" in _text(nic, "@odata.id"):
            continue
        up = _text(nic, "LinkStatus") == "LinkUp"
        port = {
            "id": _text(nic, "Id"),
            "address": mac.lower(),
            "protocol": "ethernet",
            "link_detected": up,
            "link_speed": _number(nic, "SpeedMbps") if up else 0,
        }
        cards.append({"ports": [port]})
    return cards


def _present(resource: dict[str, Any]) -> bool:
    return bool(resource) and _text(_object(resource, "Status"), "State") != "Absent"


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _list(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = parent.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value[:_TEXT] if c.isprintable()).strip()


def _number(parent: dict[str, Any], name: str) -> int:
    """Whole and not negative; 0 for anything else."""
    value = parent.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MOST else 0
