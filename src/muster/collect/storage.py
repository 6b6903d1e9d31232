# SPDX-License-Identifier: Apache-2.0
"""Disks and partitions, from /sys/class/block and what udev learnt; no disk is ever opened.

udev knows what only a command to the disk tells (ATA serial, rotation rate); sysfs keeps the
rest, and stands in where udev has not run.
"""

from muster.collect.buses import pci_folder, usb_address
from muster.collect.reading import FILE_LIMIT, Reader, Root, udev_unescape
from muster.wire.hardware import Disk, Partition, Storage
from muster.wire.shape import dataclass

_BLOCK = "/sys/class/block"
_SECTOR = 512  # sysfs counts in these whatever the disk's own block size.
# What the kernel reports for a drive without a medium.
_NO_MEDIUM_SECTORS = 0x1FFFFF
_SCSI_CDROM = 5  # SPC-4 table 49: peripheral device type "CD/DVD device".


@dataclass
class _Links:
    """The last link, by the alphabet, to each device under by-path and by-id (LXD's choice)."""

    by_path: dict[str, str]
    by_id: dict[str, str]


def probe(root: Root) -> Storage:
    """The storage section; `total` counts disks and partitions."""
    reader = Reader(root)
    mounted = _mounted_devices(reader)
    links = _Links(_read_links(reader, "by-path"), _read_links(reader, "by-id"))
    disks = [
        _read_disk(reader, name, mounted, links)
        for name in reader.names(_BLOCK)
        if _is_disk(reader, f"{_BLOCK}/{name}")
    ]
    return Storage(
        errors=reader.complaints,
        disks=disks,
        total=len(disks) + sum(len(disk.partitions) for disk in disks),
    )


def _is_disk(reader: Reader, folder: str) -> bool:
    """A path of a multipath NVMe (nvme0c0n1) has no `dev`; rbd is a network disk."""
    return (
        reader.exists(f"{folder}/device")
        and reader.exists(f"{folder}/dev")
        and reader.link(f"{folder}/device/subsystem") != "rbd"
    )


def _read_disk(reader: Reader, name: str, mounted: set[str], links: _Links) -> Disk:
    folder = f"{_BLOCK}/{name}"
    number = reader.text(f"{folder}/dev")
    udev = reader.udev(f"b{number}")
    home = _home(reader, folder)
    pci = pci_folder(home)
    kind = _kind(reader, folder, home, udev)
    rpm = _rpm(reader, folder, udev)
    return Disk(
        id=name,
        device=number,
        model=_model(reader, folder, udev),
        type=kind,
        read_only=reader.count(f"{folder}/ro") == 1,
        mounted=number in mounted,
        size=_size(reader, folder, kind),
        removable=reader.count(f"{folder}/removable") == 1,
        wwn=_wwn(reader, folder, udev),
        numa_node=reader.count(f"{pci}/numa_node") if pci else 0,
        device_path=_last_link(udev, "by-path", links.by_path.get(name, "")),
        block_size=reader.count(f"{folder}/queue/physical_block_size"),
        firmware_version=_firmware(reader, folder, udev),
        rpm=rpm,
        rotational=rpm > 0 or _turns(reader, folder, kind),
        serial=_serial(reader, folder, udev),
        device_id=_last_link(udev, "by-id", links.by_id.get(name, "")),
        partitions=_read_partitions(reader, folder, mounted),
        pci_address=pci.rpartition("/")[2],
        usb_address=usb_address(reader, home),
        device_fs_uuid=udev.get("ID_FS_UUID", ""),
        used_by=reader.link(f"{folder}/bcache/dev"),
    )


def _home(reader: Reader, folder: str) -> str:
    """The real path of the hardware. A multipath NVMe namespace is virtual: ask its controller."""
    real = reader.real(f"{folder}/device")
    if "/virtual/nvme-subsystem/" not in real:
        return real
    controllers = (n for n in reader.names(real) if n.startswith("nvme") and n[4:].isdecimal())
    return next((reader.real(f"{real}/{name}") for name in controllers), real)


def _kind(reader: Reader, folder: str, home: str, udev: dict[str, str]) -> str:
    bus = reader.link(f"{folder}/device/subsystem")
    if udev.get("ID_CDROM") == "1" or _is_cdrom(reader, folder, bus):
        return "cdrom"
    if bus == "scsi" and "/usb" in home:
        return "usb"
    # SAT-4 8.1.2: a translation layer names the vendor of every ATA disk "ATA".
    if udev.get("ID_ATA_SATA") == "1" or (
        bus == "scsi" and reader.text(f"{folder}/device/vendor") == "ATA"
    ):
        return "sata"
    return "nvme" if bus == "nvme-subsystem" else bus


def _is_cdrom(reader: Reader, folder: str, bus: str) -> bool:
    return bus == "scsi" and reader.number(f"{folder}/device/type") == _SCSI_CDROM


def _size(reader: Reader, folder: str, kind: str) -> int:
    size = reader.amount(f"{folder}/size", _SECTOR)
    return 0 if kind == "cdrom" and size == _NO_MEDIUM_SECTORS * _SECTOR else size


def _model(reader: Reader, folder: str, udev: dict[str, str]) -> str:
    """udev's text is whole where SCSI cuts it at 16 characters; MMC cards have a name only."""
    told = udev_unescape(udev.get("ID_MODEL_ENC", "")) or udev.get("ID_MODEL", "")
    return told or reader.text(f"{folder}/device/model") or reader.text(f"{folder}/device/name")


def _wwn(reader: Reader, folder: str, udev: dict[str, str]) -> str:
    """NVMe has it at the namespace, SCSI and SATA at the device."""
    told = reader.text(f"{folder}/wwid") or reader.text(f"{folder}/device/wwid")
    return " ".join(told.split()) or udev.get("ID_WWN_WITH_EXTENSION", "")


def _firmware(reader: Reader, folder: str, udev: dict[str, str]) -> str:
    told = reader.text(f"{folder}/device/firmware_rev") or udev.get("ID_REVISION", "")
    return told or reader.text(f"{folder}/device/rev")


def _serial(reader: Reader, folder: str, udev: dict[str, str]) -> str:
    """The SCSI serial before the short one, which is the WWN on SAS disks."""
    keys = ("SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL")
    told = next((udev[key] for key in keys if udev.get(key)), "")
    return (
        told
        or reader.text(f"{folder}/device/serial")
        or reader.text(f"{folder}/serial")
        or _unit_serial(reader, folder)
    )


def _unit_serial(reader: Reader, folder: str) -> str:
    """SPC-4 7.8.15: vital product data page 80h, the serial from byte 4 on."""
    page = reader.raw(f"{folder}/device/vpd_pg80") or b""
    return page[4:].decode("ascii", errors="ignore").replace("\0", "").strip()


def _rpm(reader: Reader, folder: str, udev: dict[str, str]) -> int:
    """Turns a minute; 0 for a disk that does not turn or does not say.

    SBC-4 6.6.2: page B1h holds it at byte 4; 0 is "not reported", 1 "non-rotating".
    """
    told = udev.get("ID_ATA_ROTATION_RATE_RPM", "")
    if not (told.isascii() and told.isdecimal() and len(told) < 6):
        page = reader.raw(f"{folder}/device/vpd_pgb1") or b""
        told = str(int.from_bytes(page[4:6], "big"))
    rate = int(told)
    return rate if 0x401 <= rate <= 0xFFFE else 0


def _turns(reader: Reader, folder: str, kind: str) -> bool:
    """Only SCSI and SATA: queue/rotational is a mere default of 1 for virtio, USB and DVDs."""
    return kind in ("scsi", "sata") and reader.count(f"{folder}/queue/rotational") == 1


def _read_partitions(reader: Reader, folder: str, mounted: set[str]) -> list[Partition]:
    """Those below the disk itself: sdaa1 begins like sda and is not its partition.

    The kernel names them after the disk; the other thirty entries need not be asked.
    """
    disk = folder.rpartition("/")[2]
    return [
        _read_partition(reader, f"{folder}/{name}", name, mounted)
        for name in reader.names(folder, disk)
        if reader.exists(f"{folder}/{name}/partition")
    ]


def _read_partition(reader: Reader, folder: str, name: str, mounted: set[str]) -> Partition:
    number = reader.text(f"{folder}/dev")
    return Partition(
        id=name,
        device=number,
        read_only=reader.count(f"{folder}/ro") == 1,
        size=reader.amount(f"{folder}/size", _SECTOR),
        partition=reader.count(f"{folder}/partition"),
        mounted=number in mounted,
        device_fs_uuid=reader.udev(f"b{number}").get("ID_FS_UUID", ""),
    )


def _read_links(reader: Reader, group: str) -> dict[str, str]:
    """Read once for all disks: reading them for each costs LXD 3 s with 34 disks."""
    folder = f"/dev/disk/{group}"
    return {reader.link(f"{folder}/{name}"): name for name in sorted(reader.names(folder))}


def _last_link(udev: dict[str, str], group: str, found: str) -> str:
    prefix = f"disk/{group}/"
    told = udev["DEVLINKS"].split()
    links = [link.removeprefix(prefix) for link in told if link.startswith(prefix)]
    return max([found, *links])


def _mounted_devices(reader: Reader) -> set[str]:
    """The "major:minor" of all mounts: field 3 of mountinfo (proc(5))."""
    lines = (line.split(maxsplit=3) for line in reader.lines("/proc/self/mountinfo", FILE_LIMIT))
    return {fields[2] for fields in lines if len(fields) > 3}
