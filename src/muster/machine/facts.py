# SPDX-License-Identifier: Apache-2.0
"""What conditions need of a resources document: plain data, small beside the document.

None is "not known", also where the probe for it failed: a machine whose PCI bus could not be read
is not one without graphics cards.
"""

from typing import Any

from muster.machine.multipath import condensed
from muster.wire import resources
from muster.wire.extra import Extra
from muster.wire.hardware import Disk
from muster.wire.networks import Card, Port
from muster.wire.resources import Document, summary
from muster.wire.slots import Dimm

line = resources.line
ITEMS = resources.ITEMS
"""Of one list; the counts are of all."""


def read(document: Document) -> dict[str, Any]:
    """The facts of `document`, by the names of columns.py; raises wire's BadDocument."""
    known = summary(document)
    found = document.resources
    real = (disk for disk in found.storage.disks if disk.type != "cdrom")
    disks = [_disk(paths[0]) | {"paths": len(paths)} for paths in condensed(real)]
    nics = [_nic(card, port) for card in found.network.cards for port in card.ports]
    gpus = [
        {"vendor": line(card.vendor), "product": line(card.product), "driver": line(card.driver)}
        for card in found.gpu.cards
    ]
    facts: dict[str, Any] = {
        "cpu.cores": known.cores or None,
        "cpu.threads": known.cpu_count or None,
        "cpu.sockets": known.sockets or None,
        "cpu.model": known.cpu_model,
        "memory": known.memory_bytes or None,
        "numa.nodes": len(found.memory.nodes) or None,
        "virtual": known.virtual if found.system.type != "unknown" else None,
        "bios.vendor": line(found.system.firmware.vendor) if found.system.firmware else "",
        "bios.version": line(found.system.firmware.version) if found.system.firmware else "",
        "disks": _if_read(document, "storage", disks),
        "nics": _if_read(document, "network", nics),
        "gpus": _if_read(document, "gpu", gpus),
    }
    facts |= _extra(document, document.extra) if document.extra else {}
    for of in ("disks", "nics", "gpus", "dimms"):
        if (items := facts.get(of)) is not None:
            facts[f"{of[:-1]}.count"] = len(items)
            facts[of] = items[:ITEMS]
    return facts


def _extra(document: Document, extra: Extra) -> dict[str, Any]:
    modules = [_dimm(dimm) for dimm in extra.dimms.slots if dimm.size != 0]
    # A machine without SMBIOS has memory all the same.
    dimms = _if_read(document, "dimms", modules) if extra.dimms.slots else None
    return {
        "dimms": dimms,
        "secure_boot": extra.boot_firmware.secure_boot,
        "tpm": _if_read(document, "tpm", extra.tpm.present),
        "tpm.version": line(extra.tpm.version),
        "bmc": _if_read(document, "bmc", extra.bmc.present),
        "bmc.firmware": line(extra.bmc.firmware_version),
        "pcie.degraded": _if_read(document, "pcie", len(extra.pcie.degraded)),
    }


def _if_read(document: Document, probe: str, value: Any) -> Any:
    report = document.extra.probes.get(probe) if document.extra else None
    return value if (report is None or report.ok) and probe not in document.unread else None


def _disk(disk: Disk) -> dict[str, Any]:
    turns = disk.rotational if disk.rotational is not None else (disk.rpm > 0 or None)
    return {
        "name": line(disk.id),
        "model": line(disk.model),
        "serial": line(disk.serial),
        "wwn": line(disk.wwn),
        "type": line(disk.type),
        "firmware": line(disk.firmware_version),
        "size": disk.size or None,
        "rotational": turns,
    }


def _nic(card: Card, port: Port) -> dict[str, Any]:
    return {
        "name": line(port.id),
        "mac": line(port.address),
        "vendor": line(card.vendor),
        "product": line(card.product),
        "driver": line(card.driver),
        "firmware": line(card.firmware_version),
        "speed": port.link_speed or None,
        "link": port.link_detected,
    }


def _dimm(dimm: Dimm) -> dict[str, Any]:
    return {
        "slot": line(dimm.slot),
        "size": dimm.size,
        "type": line(dimm.type),
        "speed": dimm.configured_speed or dimm.speed or None,
        "manufacturer": line(dimm.manufacturer),
        "part": line(dimm.part),
        "serial": line(dimm.serial),
    }
