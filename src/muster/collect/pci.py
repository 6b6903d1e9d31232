# SPDX-License-Identifier: Apache-2.0
"""PCI functions with driver, names, IOMMU group and vital product data."""

from collections.abc import Iterator

from muster.collect.buses import PCI, Names, describe, iommu_group
from muster.collect.reading import Reader, Root
from muster.wire.devices import Pci, PciDevice, Vpd

_VPD_LIMIT = 32768  # PCI Local Bus 3.0, appendix I: the address has 15 bits.
_IDENTIFIER, _READ_ONLY, _READ_WRITE = 0x82, 0x90, 0x91
_LARGE = 0x80
_END = 0x0F
# Those that LXD lists, and all that begin with V, Y or Z: the vendor's, the system's, the board's.
# Left out are RV, a checksum, and RW, the room that is left.
_KEYWORDS = {"CC", "EC", "FC", "FN", "MN", "NA", "PN", "RM", "SN"}


def probe(root: Root) -> Pci:
    """The pci section. A function whose product data is broken loses that alone."""
    reader = Reader(root)
    names = Names(reader)
    devices = [_read_device(reader, names, address) for address in reader.names(PCI)]
    return Pci(devices=devices, total=len(devices), errors=reader.complaints)


def _read_device(reader: Reader, names: Names, address: str) -> PciDevice:
    folder = f"{PCI}/{address}"
    device = PciDevice(vpd=_read_vpd(reader, f"{folder}/vpd"))
    describe(names, reader, device, folder)
    device.iommu_group = iommu_group(reader, folder) or 0
    return device


def _read_vpd(reader: Reader, path: str) -> Vpd:
    data = reader.raw(path, _VPD_LIMIT)
    found = Vpd()
    if not data or not any(data) or data.count(0xFF) == len(data):
        return found  # An empty memory reads as all zeros or all ones.
    try:
        for tag, content in _items(data):
            if tag == _IDENTIFIER:
                found.product_name = _text(content)
            elif tag in (_READ_ONLY, _READ_WRITE):
                found.entries.update(_entries(content))
    except ValueError as error:
        reader.complain(path, str(error))
    return found


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Resource data: large items have bit 7 and a length of two bytes, small ones three bits."""
    place = 0
    while place < len(data):
        tag = data[place]
        if tag & _LARGE:
            length, start = int.from_bytes(data[place + 1 : place + 3], "little"), place + 3
        else:
            length, start = tag & 0x07, place + 1
        if tag >> 3 == _END:
            return
        place = start + length
        if place > len(data):
            raise ValueError(f"product data: the item 0x{tag:02x} at byte {start} is cut off")
        yield tag, data[start:place]


def _entries(content: bytes) -> Iterator[tuple[str, str]]:
    """Two letters, a length of one byte, the value."""
    place = 0
    while place + 3 <= len(content):
        key = content[place : place + 2].decode("ascii", errors="replace")
        end = place + 3 + content[place + 2]
        if end > len(content):
            raise ValueError(f"product data: the entry {key!r} is cut off")
        if content[place + 2] and (key in _KEYWORDS or key[0] in "VYZ"):
            yield key, _text(content[place + 3 : end])
        place = end


def _text(content: bytes) -> str:
    text = content.decode(errors="replace").replace("\0", "")
    return "".join(c for c in text if c.isprintable()).strip()
