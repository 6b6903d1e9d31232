# SPDX-License-Identifier: Apache-2.0
"""Who made the machine and what kind it is, from /sys/class/dmi/id or the device tree."""

from muster.collect.reading import Reader, Root
from muster.wire.hardware import Chassis, Firmware, Motherboard, System

_DMI = "/sys/class/dmi/id"
_TREE = "/proc/device-tree"

# SMBIOS 3.7 (DSP0134), table 17: the chassis types 1 to 36.
_CHASSIS = (
    "Other|Unknown|Desktop|Low Profile Desktop|Pizza Box|Mini Tower|Tower|Portable|Laptop|Notebook|"
    "Hand Held|Docking Station|All in One|Sub Notebook|Space-saving|Lunch Box|Main Server Chassis|"
    "Expansion Chassis|SubChassis|Bus Expansion Chassis|Peripheral Chassis|RAID Chassis|"
    "Rack Mount Chassis|Sealed-case PC|Multi-system chassis|Compact PCI|Advanced TCA|Blade|"
    "Blade Enclosure|Tablet|Convertible|Detachable|IoT Gateway|Embedded PC|Mini PC|Stick PC"
).split("|")

# What hypervisors write into SMBIOS. Needed where the processor has no flag for them (arm64).
_VIRTUAL_PREFIXES = (
    "KVM",
    "OpenStack",
    "KubeVirt",
    "Amazon EC2",
    "QEMU",
    "VMware",
    "VMW",
    "innotek GmbH",
    "VirtualBox",
    "Xen",
    "Bochs",
    "Parallels",
    "BHYVE",
    "Hyper-V",
    "Apple Virtualization",
    "Google Compute Engine",
)
_CONTAINER_MARKS = (
    "/run/systemd/container",
    "/run/host/container-manager",
    "/.dockerenv",
    "/run/.containerenv",
)


def probe(root: Root) -> System:
    """The system section; firmware, chassis and motherboard are null without SMBIOS."""
    reader = Reader(root)
    system = _from_dmi(reader) if reader.exists(_DMI) else _from_tree(reader)
    system.type = _kind(reader, system)
    system.errors = reader.complaints
    return system


def _from_dmi(reader: Reader) -> System:
    def dmi(name: str) -> str:
        return reader.text(f"{_DMI}/{name}")

    return System(
        uuid=dmi("product_uuid").lower(),
        vendor=dmi("sys_vendor"),
        product=dmi("product_name"),
        family=dmi("product_family"),
        version=dmi("product_version"),
        sku=dmi("product_sku"),
        serial=dmi("product_serial"),
        firmware=Firmware(dmi("bios_vendor"), dmi("bios_date"), dmi("bios_version")),
        chassis=Chassis(
            vendor=dmi("chassis_vendor"),
            type=_chassis_type(reader),
            serial=dmi("chassis_serial"),
            version=dmi("chassis_version"),
        ),
        motherboard=Motherboard(
            vendor=dmi("board_vendor"),
            product=dmi("board_name"),
            serial=dmi("board_serial"),
            version=dmi("board_version"),
        ),
    )


def _from_tree(reader: Reader) -> System:
    """Boards without SMBIOS: the device tree has one text for maker and model."""
    return System(
        product=reader.text(f"{_TREE}/model"), serial=reader.text(f"{_TREE}/serial-number")
    )


def _chassis_type(reader: Reader) -> str:
    """Bit 7 says that there is a lock (DSP0134 7.4); the type is in the seven others."""
    number = reader.count(f"{_DMI}/chassis_type") & 0x7F
    return _CHASSIS[number - 1] if 1 <= number <= len(_CHASSIS) else ""


def _kind(reader: Reader, system: System) -> str:
    if any(reader.exists(mark) for mark in _CONTAINER_MARKS):
        return "container"
    return "virtual-machine" if _is_virtual(reader, system) else "physical"


def _is_virtual(reader: Reader, system: System) -> bool:
    if "control_d" in reader.text("/proc/xen/capabilities"):
        return False  # Dom0 sees the machine itself, though Xen runs below it.
    if system.vendor == "Amazon EC2" and ".metal" in system.product:
        return False
    board = system.motherboard or Motherboard()
    firmware = system.firmware or Firmware()
    told = (system.product, system.vendor, board.vendor, firmware.vendor)
    return (
        any(text.startswith(_VIRTUAL_PREFIXES) for text in told)
        or (system.vendor == "Microsoft Corporation" and system.product == "Virtual Machine")
        or _says_hypervisor(reader)
    )


def _says_hypervisor(reader: Reader) -> bool:
    """x86 has a processor flag, Xen and device trees a path, s390x a line in sysinfo."""
    if reader.exists("/sys/hypervisor/type") or reader.exists(f"{_TREE}/hypervisor"):
        return True
    # The flags of the first processor are enough, and a whole cpuinfo can be megabytes.
    flags = next((line for line in _cpuinfo_head(reader) if line.startswith(b"flags")), b"")
    return b"hypervisor" in flags.split() or "VM00 Control Program" in reader.text("/proc/sysinfo")


def _cpuinfo_head(reader: Reader) -> list[bytes]:
    return (reader.head("/proc/cpuinfo", 8192) or b"").splitlines()
