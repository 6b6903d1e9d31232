# SPDX-License-Identifier: Apache-2.0
"""What every device on the PCI and USB buses has: address, identifiers, names, driver."""

import re

from muster.collect.reading import FILE_LIMIT, Reader

# What type checkers believe: `typing` alone would cost 2.5 ms of start-up.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

PCI = "/sys/bus/pci/devices"
_IDS = {
    "pci": ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"),
    "usb": ("/var/lib/usbutils/usb.ids", "/usr/share/misc/usb.ids", "/usr/share/hwdata/usb.ids"),
}
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NEXT_VENDOR = re.compile(rb"\n[^\t#\n]")
_IDENTIFIER = re.compile(r"[0-9a-f]{4}")


class PciFunction(Protocol):
    """The fields that all shapes of PCI functions share."""

    driver: str
    driver_version: str
    numa_node: int
    pci_address: str
    vendor: str
    vendor_id: str
    product: str
    product_id: str


class Names:
    """Vendor and product names by pci.ids and usb.ids, each read once; "" for what is not listed.

    Searched, not parsed: parsing the 1.3 MiB of pci.ids costs more than all probes together.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._tables: dict[str, bytes] = {}
        self._makers: dict[tuple[str, str], tuple[int, int]] = {}

    def pci(self, vendor_id: str, product_id: str) -> tuple[str, str]:
        """Of two identifiers as "15b3"."""
        return self._look_up("pci", vendor_id, product_id)

    def usb(self, vendor_id: str, product_id: str) -> tuple[str, str]:
        """Of two identifiers as "0951"."""
        return self._look_up("usb", vendor_id, product_id)

    def _look_up(self, bus: str, vendor_id: str, product_id: str) -> tuple[str, str]:
        if not (_IDENTIFIER.fullmatch(vendor_id) and _IDENTIFIER.fullmatch(product_id)):
            return "", ""
        table = self._table(bus)
        if (bus, vendor_id) not in self._makers:
            self._makers[bus, vendor_id] = _maker(table, vendor_id)
        start, end = self._makers[bus, vendor_id]
        if start < 0:
            return "", ""
        product = table.find(f"\n\t{product_id}  ".encode(), start, end)
        return _name(table, start + 7), _name(table, product + 8) if product >= 0 else ""

    def _table(self, bus: str) -> bytes:
        if bus not in self._tables:
            tables = (self._reader.raw(path, FILE_LIMIT) for path in _IDS[bus])
            self._tables[bus] = next(filter(None, tables), b"")
        return self._tables[bus]


def _maker(table: bytes, vendor_id: str) -> tuple[int, int]:
    """Where a maker's lines begin and end: "VVVV  name", then its products' "<TAB>PPPP  name".

    Looked for without the spaces, of which the table is full: that is twice as fast (0.27 ms).
    """
    start = table.find(f"\n{vendor_id}".encode())
    if start < 0 or table[start + 5 : start + 7] != b"  ":
        return -1, -1
    next_vendor = _NEXT_VENDOR.search(table, start + 1)
    return start, next_vendor.start() if next_vendor else len(table)


def _name(table: bytes, start: int) -> str:
    end = table.find(b"\n", start)
    return table[start : end if end >= 0 else len(table)].decode(errors="replace").strip()


def describe(names: Names, reader: Reader, target: PciFunction, folder: str) -> None:
    """Fill the common fields of `target` from the PCI function at `folder`."""
    target.pci_address = folder.rpartition("/")[2]
    target.numa_node = reader.count(f"{folder}/numa_node")
    target.driver, target.driver_version = driver_of(reader, folder)
    identify(names, reader, target, folder)


def identify(names: Names, reader: Reader, target: PciFunction, folder: str) -> None:
    """Fill the identifiers and names alone; udev's data base speaks where pci.ids is missing."""
    target.vendor_id = reader.text(f"{folder}/vendor").removeprefix("0x")
    target.product_id = reader.text(f"{folder}/device").removeprefix("0x")
    target.vendor, target.product = names.pci(target.vendor_id, target.product_id)
    if not target.vendor and target.pci_address:
        udev = reader.udev(f"+pci:{target.pci_address}")
        target.vendor = udev.get("ID_VENDOR_FROM_DATABASE", "")
        target.product = udev.get("ID_MODEL_FROM_DATABASE", "")


def iommu_group(reader: Reader, folder: str) -> int | None:
    """The number of the group of a PCI function; None where there is no IOMMU."""
    group = reader.link(f"{folder}/iommu_group")
    return int(group) if group.isascii() and group.isdecimal() and len(group) < 10 else None


def driver_of(reader: Reader, folder: str) -> tuple[str, str]:
    """Name and version of a device's driver; drivers of the kernel have the kernel's version."""
    driver = reader.link(f"{folder}/driver")
    if not driver:
        return "", ""
    version = reader.text(f"{folder}/driver/module/version")
    return driver, version or reader.text("/proc/sys/kernel/osrelease")


def pci_folder(real: str) -> str:
    """The folder of the PCI function nearest above a real device path, "" if there is none."""
    while real and not _PCI_ADDRESS.fullmatch(real.rpartition("/")[2]):
        real = real.rpartition("/")[0]
    return real


def usb_folder(reader: Reader, real: str) -> str:
    """The folder of the USB device (not interface) nearest above a real device path."""
    while "/usb" in real:
        if reader.exists(f"{real}/busnum"):
            return real
        real = real.rpartition("/")[0]
    return ""


def usb_address(reader: Reader, real: str) -> str:
    """ "bus:device" of the USB device above a real device path, "" if there is none."""
    folder = usb_folder(reader, real)
    if not folder:
        return ""
    return f"{reader.count(f'{folder}/busnum')}:{reader.count(f'{folder}/devnum')}"
