# SPDX-License-Identifier: Apache-2.0
"""A resources document as a list of parts, each with its place, serial number and properties.

What changes by itself (load, counters, kernel names of disks, temperatures) is no property, so
that the same machine read again has the same parts. An empty property is not stated.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from muster.machine.facts import line
from muster.machine.identity import usable_serial
from muster.machine.multipath import condensed
from muster.machine.quantities import size
from muster.wire.devices import GpuCard, UsbDevice
from muster.wire.extra import Extra
from muster.wire.hardware import Disk, Socket
from muster.wire.networks import Card, Port
from muster.wire.peripherals import Health, NicDriver, Optics, RaidController, RaidDisk
from muster.wire.resources import Document
from muster.wire.slots import Dimm, PowerSupply


@dataclass(frozen=True)
class Part:
    """`place` is where it sits in words ("slot B2"), "" where only the kernel has a name for it.

    `title` describes it, `name` is what the kernel calls it; `properties` by name, as told.
    """

    kind: str
    place: str = ""
    name: str = ""
    title: str = ""
    serial: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    """All places by which a disk of several paths is reached."""

    @property
    def label(self) -> str:
        """What a sentence begins with: "DIMM in slot B2", "disk sda"."""
        if self.kind == "optical module":
            return f"{self.kind} at NIC {self.name}"
        if self.place:
            word = "in" if self.place.startswith(("slot ", "socket ")) else "at"
            return f"{self.kind} {word} {self.place}"
        return f"{self.kind} {self.name}".rstrip()


# Kind of part: the probe that has to have succeeded in both documents.
PROBES = {
    "system": "system",
    "BIOS": "system",
    "boot": "boot_firmware",
    "processor": "cpu",
    "DIMM": "dimms",
    "memory": "memory",
    "disk": "storage",
    "NIC": "network",
    "optical module": "nics",
    "GPU": "gpu",
    "accelerator": "accelerators",
    "RAID controller": "raid",
    "PCI device": "pci",
    "PCIe link": "pcie",
    "USB device": "usb",
    "BMC": "bmc",
    "TPM": "tpm",
    "power supply": "power_supplies",
}
KINDS = tuple(PROBES)
_OF_EXTRA = frozenset(
    ("boot", "DIMM", "optical module", "accelerator", "RAID controller", "PCIe link", "BMC", "TPM",
     "power supply")
)  # fmt: skip


def known_kinds(document: Document) -> set[str]:
    """The kinds of which the document tells: of the others nothing is known."""
    extra, failed = document.extra, set(document.unread)
    if extra is None:
        return {kind for kind in set(KINDS) - _OF_EXTRA if PROBES[kind] not in failed}
    failed |= {name for name, report in extra.probes.items() if not report.ok}
    known = {kind for kind, probe in PROBES.items() if probe not in failed}
    # A board without any slot in its tables is one whose tables could not be read.
    silent = {"DIMM": extra.dimms.slots, "power supply": extra.power_supplies.supplies}
    return known - {kind for kind, found in silent.items() if not found}


def parts(document: Document) -> list[Part]:
    """Every part; places are unique within a kind, dummy and repeated serial numbers are ""."""
    known = known_kinds(document)
    found = [part for part in _all(document) if part.kind in known]
    serials = Counter((part.kind, part.serial) for part in found)
    places: Counter[tuple[str, str]] = Counter()
    whole = []
    for part in found:
        if part.serial and serials[part.kind, part.serial] > 1:
            part = replace(part, serial="")
        places[part.kind, part.place] += 1
        nth = places[part.kind, part.place]
        if part.place and nth > 1:
            part = replace(part, place=f"{part.place} #{nth}")
        whole.append(part)
    return whole


def _all(document: Document) -> Iterator[Part]:
    found, extra = document.resources, document.extra or Extra()
    yield from _system(document, extra)
    for socket in found.cpu.sockets:
        yield _processor(socket, extra)
    dimms = [dimm for dimm in extra.dimms.slots if dimm.size != 0]
    yield from map(_dimm, dimms)
    yield Part("memory", properties={"size": _size(found.memory.total)})
    yield from _disks(document, extra)
    yield from _modules(document, extra)
    drivers = {one.interface: one for one in extra.nics.interfaces}
    for card in found.network.cards:
        for port in card.ports:
            yield _nic(card, port, drivers.get(port.id))
    serials = {d.pci_address: d.vpd.entries.get("SN", "") for d in found.pci.devices}
    for gpu in found.gpu.cards:
        yield _gpu(gpu, serials)
    for kind, cards in (("accelerator", extra.accelerators.devices),
                        ("RAID controller", extra.raid.controllers)):  # fmt: skip
        for one in cards:
            firmware = {"firmware": line(getattr(one, "firmware_version", ""))}
            title = _words(one.vendor, one.product)
            yield Part(
                kind, line(one.pci_address), "", title, _sn(serials, one.pci_address), firmware
            )
    yield from _pci(document, extra, serials)
    yield from _usb(document)
    for supply in extra.power_supplies.supplies:
        if supply.present:
            yield _supply(supply)


def _system(document: Document, extra: Extra) -> Iterator[Part]:
    found = document.resources.system
    board, chassis, bios = found.motherboard, found.chassis, found.firmware
    told = {
        "UUID": found.uuid.lower(),
        "vendor": found.vendor,
        "product": found.product,
        "version": found.version,
        "SKU": found.sku,
        "serial number": found.serial,
        "board": _words(board.vendor, board.product, board.version) if board else "",
        "board serial number": board.serial if board else "",
        "chassis": _words(chassis.vendor, chassis.type, chassis.version) if chassis else "",
        "chassis serial number": chassis.serial if chassis else "",
    }
    yield Part("system", properties={name: line(value) for name, value in told.items()})
    if bios:
        yield Part("BIOS", properties={"version": _words(bios.vendor, bios.version, bios.date)})
    boot, tpm, bmc = extra.boot_firmware, extra.tpm, extra.bmc
    secure = {None: "", True: "on", False: "off"}[boot.secure_boot]
    yield Part("boot", properties={"mode": line(boot.mode), "Secure Boot": secure})
    if tpm.present:
        told = {"version": line(tpm.version), "firmware": line(tpm.firmware_version)}
        yield Part("TPM", "", "", line(tpm.manufacturer), line(tpm.ek_sha256), told)
    if bmc.present:
        told = {"firmware": line(bmc.firmware_version), "GUID": line(bmc.guid)}
        for lan in bmc.lan:
            told |= {f"address of channel {lan.channel}": line(lan.address),
                     f"MAC of channel {lan.channel}": line(lan.mac)}  # fmt: skip
        yield Part("BMC", properties=told)


def _processor(socket: Socket, extra: Extra) -> Part:
    microcode = {one.socket: one.microcode for one in extra.processors.packages}
    threads = sum(len(core.threads) for core in socket.cores)
    told = {
        "model": line(socket.name),
        "cores": str(len(socket.cores) or ""),
        "threads": str(threads or ""),
        "microcode": line(microcode.get(socket.socket, "")),
    }
    return Part("processor", f"socket {socket.socket}", title=line(socket.name), properties=told)


def _dimm(dimm: Dimm) -> Part:
    serial = line(usable_serial(dimm.serial))
    told = {
        "size": _size(dimm.size),
        "type": line(dimm.type),
        "manufacturer": line(dimm.manufacturer),
        "part number": line(dimm.part),
        "speed": f"{dimm.speed} MT/s" if dimm.speed else "",
        "configured speed": f"{dimm.configured_speed} MT/s" if dimm.configured_speed else "",
        "firmware": line(dimm.firmware_version),
    }
    title = _words(told["size"], dimm.type, dimm.manufacturer, dimm.part, _serial(serial))
    return Part("DIMM", f"slot {line(dimm.slot)}", "", title, serial, told)


def _disks(document: Document, extra: Extra) -> Iterator[Part]:
    health = {one.disk: one for one in extra.disk_health.disks}
    for paths in condensed(document.resources.storage.disks):
        yield _disk(paths, health.get(paths[0].id))
    for controller in extra.raid.controllers:
        yield from (_member(controller, member) for member in controller.members)


def _disk(paths: list[Disk], health: Health | None) -> Part:
    """The paths of one disk are found in any order: it is told by the first by name."""
    disk = min(paths, key=lambda one: one.device_path)
    serial = line(usable_serial(disk.serial)) or line(disk.wwn)
    told = {
        "model": line(disk.model),
        # A card reader's or drive's size is that of the medium in it.
        "size": "" if disk.removable or not disk.size else size(disk.size, decimal=True),
        "transport": line(disk.type),
        "firmware": line(disk.firmware_version),
        "health": _health(health),
        "paths": str(len(paths)),
    }
    title = _words(told["size"], disk.model, _serial(serial))
    places = frozenset(line(one.device_path) for one in paths)
    return Part("disk", line(disk.device_path), line(disk.id), title, serial, told, places)


def _member(controller: RaidController, disk: RaidDisk) -> Part:
    """A disk behind a RAID controller: its place is a number that the controller gives."""
    serial = line(usable_serial(disk.serial))
    told = {
        "model": line(disk.model),
        "size": size(disk.size, decimal=True) if disk.size else "",
        "transport": line(disk.protocol),
        "firmware": line(disk.firmware_version),
        "health": _health(disk),
    }
    title = _words(told["size"], disk.vendor, disk.model, _serial(serial))
    return Part(
        "disk", f"{line(controller.pci_address)} {line(disk.disk)}", "", title, serial, told
    )


def _health(health: Health | None) -> str:
    if health is None or health.passed is None:
        return ""
    return _words("passed" if health.passed else "failing", ", ".join(health.warnings))


def _nic(card: Card, port: Port, driver: NicDriver | None) -> Part:
    place = _socket_of(card, port)
    firmware = card.firmware_version or (driver.firmware_version if driver else "")
    link = f"{port.link_speed} Mbit/s" if port.link_speed else "up"
    told = {
        "model": _words(card.vendor, card.product),
        "firmware": line(firmware),
        "link": link if port.link_detected else "none",
    }
    title = _words(port.id, told["model"], port.address)
    mac = "" if set(port.address) <= set("0:") else line(port.address).lower()
    return Part("NIC", place, line(port.id), title, mac, told)


def _socket_of(card: Card, port: Port) -> str:
    """A USB address is given anew with every boot."""
    return f"{line(card.pci_address)} port {port.port}" if card.pci_address else ""


def _modules(document: Document, extra: Extra) -> Iterator[Part]:
    """Names of interfaces may be given anew with every boot: a module is in its NIC's place."""
    cards = document.resources.network.cards
    sockets = {port.id: _socket_of(card, port) for card in cards for port in card.ports}
    for driver in extra.nics.interfaces:
        if driver.optics:
            yield _optics(driver, sockets.get(driver.interface, ""))


def _optics(driver: NicDriver, place: str) -> Part:
    optics = driver.optics or Optics()
    serial = line(usable_serial(optics.serial))
    told = {"part number": line(optics.part), "type": line(optics.type)}
    title = _words(optics.type, optics.vendor, optics.part, _serial(serial))
    return Part("optical module", place, line(driver.interface), title, serial, told)


def _gpu(card: GpuCard, serials: dict[str, str]) -> Part:
    nvidia = card.nvidia
    serial = _sn(serials, card.pci_address) or line(nvidia.uuid if nvidia else "")
    ids = f"[{line(card.vendor_id)}:{line(card.product_id)}]" if card.product_id else ""
    title = _words(card.vendor, nvidia.model if nvidia and nvidia.model else card.product) or ids
    told = {"model": title, "firmware": line(nvidia.vbios_version) if nvidia else ""}
    return Part("GPU", line(card.pci_address), "", title, serial, told)


def told_of(document: Document) -> set[str]:
    """The PCI addresses of NICs, GPUs and all else that is more than a PCI device."""
    found, extra = document.resources, document.extra or Extra()
    disks = [disk for disk in found.storage.disks if disk.type == "nvme"]
    cards = (found.network.cards, found.gpu.cards, disks, extra.accelerators.devices,
             extra.raid.controllers)  # fmt: skip
    return {line(card.pci_address) for several in cards for card in several}


def _pci(document: Document, extra: Extra, serials: dict[str, str]) -> Iterator[Part]:
    """Devices that are not already told of as what they are, and the links of all of them."""
    told = told_of(document)
    titles = {}
    for device in document.resources.pci.devices:
        ids = f"[{line(device.vendor_id)}:{line(device.product_id)}]"
        title = titles[device.pci_address] = _words(device.vendor, device.product) or ids
        if device.pci_address not in told:
            sn = _sn(serials, device.pci_address)
            place = line(device.pci_address)
            yield Part("PCI device", place, "", title, sn, {"model": f"{title} {ids}"})
    for function in extra.pcie.functions:
        if function.link is None:
            continue
        link = {"width": f"x{function.link.width}" if function.link.width else ""}
        # Display and processing devices (classes 03 and 12) slow their link down to save power.
        if not function.class_id.removeprefix("0x").startswith(("03", "12")):
            link["speed"] = f"{function.link.speed:g} GT/s" if function.link.speed else ""
        title = titles.get(function.pci_address, "")
        yield Part("PCIe link", line(function.pci_address), title, properties=link)


def _usb(document: Document) -> Iterator[Part]:
    """By what they are: bus and device addresses are given anew with every boot."""
    found = document.resources
    told = {card.usb_address for card in found.network.cards}
    told |= {disk.usb_address for disk in found.storage.disks}
    for device in found.usb.devices:
        if f"{device.bus_address}:{device.device_address}" not in told:
            yield _usb_device(device)


def _usb_device(device: UsbDevice) -> Part:
    ids = f"{line(device.vendor_id)}:{line(device.product_id)}"
    serial = line(usable_serial(device.serial))
    title = _words(device.vendor, device.product, _serial(serial)) or ids
    return Part("USB device", name=ids, title=title, serial=serial)


def _supply(supply: PowerSupply) -> Part:
    serial = line(usable_serial(supply.serial))
    power = f"{supply.power} W" if supply.power else ""
    told = {
        "status": "unplugged" if supply.unplugged else line(supply.status),
        "part number": line(supply.part),
        "power": power,
        "revision": line(supply.revision),
    }
    title = _words(power, supply.manufacturer, supply.part, _serial(serial))
    return Part("power supply", f"slot {line(supply.slot)}", "", title, serial, told)


def _sn(serials: dict[str, str], pci_address: str) -> str:
    return line(usable_serial(serials.get(pci_address, "")))


def _serial(serial: str) -> str:
    return f"serial {serial}" if serial else ""


def _size(number: int | None) -> str:
    return size(number) if number else ""


def _words(*texts: str) -> str:
    return " ".join(filter(None, map(line, texts)))
