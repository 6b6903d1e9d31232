# SPDX-License-Identifier: Apache-2.0
"""Processors beyond what LXD tells: microcode, stepping, vulnerabilities, SMT, board sockets."""

from muster.collect.reading import Reader, Root
from muster.collect.smbios import Structure, structures
from muster.wire.slots import CpuIdentity, Processors, ProcessorSlot

_CPUS = "/sys/devices/system/cpu"
_PROCESSOR = 4
_CPUINFO_HEAD = 1 << 20  # All sockets of a machine show in the first 300 or so processors.
_POPULATED = 1 << 6
# DSP0134 7.5.4; 0 and the missing ones are "unknown" or reserved.
_STATUS = "Enabled|Disabled By User|Disabled By BIOS|Idle|||Other".split("|")


def probe(root: Root) -> Processors:
    """SMBIOS lists empty sockets too; cpuinfo only what runs."""
    reader = Reader(root)
    active = reader.number(f"{_CPUS}/smt/active")
    return Processors(
        smt=reader.text(f"{_CPUS}/smt/control"),
        smt_active=None if active is None else active == 1,
        governor=reader.text(f"{_CPUS}/cpu0/cpufreq/scaling_governor"),
        vulnerabilities=_read_vulnerabilities(reader),
        packages=_read_packages(reader),
        slots=[_slot(item) for item in structures(reader) if item.type == _PROCESSOR],
        errors=reader.complaints,
    )


def _read_vulnerabilities(reader: Reader) -> dict[str, str]:
    folder = f"{_CPUS}/vulnerabilities"
    return {name: reader.text(f"{folder}/{name}") for name in reader.names(folder)}


def _read_packages(reader: Reader) -> list[CpuIdentity]:
    """The first processor of each socket. ARM has "CPU variant" and "revision" for stepping."""
    found: dict[int, CpuIdentity] = {}
    head = reader.head("/proc/cpuinfo", _CPUINFO_HEAD) or b""
    for block in head.decode(errors="replace").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        info = {key.strip(): value.strip() for key, colon, value in pairs if colon}
        package = info.get("physical id", "0")
        if "processor" in info and package.isascii() and package.isdecimal() and len(package) < 6:
            found.setdefault(int(package), _identity(int(package), info))
    return list(found.values())


def _identity(socket: int, info: dict[str, str]) -> CpuIdentity:
    return CpuIdentity(
        socket=socket,
        family=info.get("cpu family") or info.get("CPU implementer", ""),
        model=info.get("model") or info.get("CPU part", ""),
        stepping=info.get("stepping") or info.get("CPU revision", ""),
        microcode=info.get("microcode", ""),
    )


def _slot(item: Structure) -> ProcessorSlot:
    status = item.number(0x18)
    kind = status & 0x07
    return ProcessorSlot(
        slot=item.text(0x04),
        populated=bool(status & _POPULATED),
        status=_STATUS[kind - 1] if kind else "",
        manufacturer=item.text(0x07),
        version=item.text(0x10),
        id=item.body[0x08:0x10].hex(" ").upper() if any(item.body[0x08:0x10]) else "",
        serial=item.text(0x20),
        part=item.text(0x22),
        asset_tag=item.text(0x21),
        maximum_speed=item.number(0x14, 2),
        current_speed=item.number(0x16, 2),
        cores=_cores(item, 0x23, 0x2A),
        cores_enabled=_cores(item, 0x24, 0x2C),
        threads=_cores(item, 0x25, 0x2E),
    )


def _cores(item: Structure, place: int, extended: int) -> int:
    """DSP0134 7.5.6: FFh in the byte sends to the word that SMBIOS 3.0 added."""
    count = item.number(place)
    return item.number(extended, 2) if count == 0xFF else count
