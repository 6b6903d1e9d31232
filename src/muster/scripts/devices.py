# SPDX-License-Identifier: Apache-2.0
"""Which devices of a machine a storage or interface parameter means, and what a script must hold.

Values as MAAS takes them: all, a name, model, serial, model:serial; a name, MAC, vendor, product,
vendor:product; several with commas.
"""

from dataclasses import dataclass

from muster.scripts.format import Script
from muster.wire.resources import Document


@dataclass(frozen=True)
class Device:
    """One disk or NIC; `facts` are what argument_format may name."""

    kind: str
    name: str
    facts: dict[str, str]

    @property
    def told(self) -> str:
        """For people: "sda (QEMU HARDDISK, serial 1)"."""
        parts = [self.facts.get("model") or self.facts.get("mac", "")]
        if self.facts.get("serial"):
            parts.append(f"serial {self.facts['serial']}")
        more = ", ".join(part for part in parts if part)
        return f"{self.name} ({more})"[:128] if more else self.name[:128]


def storage(document: Document) -> list[Device]:
    """The disks that can be tested: with a medium, and neither CD-ROM nor removable."""
    return [
        Device("disk", disk.id, {
            "input": disk.id,
            "name": disk.id,
            "path": f"/dev/{disk.id}",
            "model": disk.model,
            "serial": disk.serial,
        })
        for disk in document.resources.storage.disks
        if disk.type != "cdrom" and not disk.removable and disk.size
    ]  # fmt: skip


def interfaces(document: Document) -> list[Device]:
    """The ports of the network cards that the kernel has a name for."""
    return [
        Device("nic", port.id, {
            "input": port.id,
            "name": port.id,
            "mac": port.address,
            "vendor": card.vendor,
            "product": card.product,
        })
        for card in document.resources.network.cards
        for port in card.ports
        if port.id
    ]  # fmt: skip


def choose(devices: list[Device], value: str) -> list[Device]:
    """Those that `value` means."""
    wanted = {part.strip().lower() for part in value.split(",") if part.strip()}
    return [device for device in devices if "all" in wanted or wanted & _names(device)]


def _names(device: Device) -> set[str]:
    facts = {key: text.lower() for key, text in device.facts.items() if text}
    pairs = (("model", "serial"), ("vendor", "product"))
    joined = {f"{facts[a]}:{facts[b]}" for a, b in pairs if a in facts and b in facts}
    return set(facts.values()) | joined


def holds(script: Script, devices: list[Device]) -> list[str]:
    """What no other script may use meanwhile."""
    held = [f"{device.kind}:{device.name}" for device in devices]
    if script.hardware_type in ("cpu", "memory"):
        held.append("cpu")
    if script.hardware_type == "storage" and not devices:
        held.append("disk:*")
    return held
