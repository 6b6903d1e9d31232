# SPDX-License-Identifier: Apache-2.0
"""Which side packages of firmware a loader fetches with the initrd, by what is known of a machine.

Only those of NICs: without them a machine may have no network to fetch more by. What its other
devices ask for, the initrd fetches itself.
"""

import re
from functools import lru_cache
from pathlib import Path

import msgspec

from muster.images.errors import LibraryError
from muster.images.firmware import ANY, INDEX, PREFIX, SidePackage, parse_index, wanted
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.store import versions
from muster.store.engine import Tx

# DHCP's "client bus id" of iPXE: 01 for PCI, vendor, device; with colons or without.
_PCI = re.compile(r"01:?([0-9a-f]{2}):?([0-9a-f]{2}):?([0-9a-f]{2}):?([0-9a-f]{2})", re.ASCII)


class _Device(msgspec.Struct):
    vendor_id: str = ""
    product_id: str = ""


class _Devices(msgspec.Struct):
    devices: list[_Device] = []


class _Resources(msgspec.Struct):
    pci: _Devices = msgspec.field(default_factory=_Devices)


class _Document(msgspec.Struct):
    """Of a resources document only this; the rest of its 100 kB is passed over unread."""

    resources: _Resources = msgspec.field(default_factory=_Resources)


def chosen(
    tx: Tx, library: Library, image: Manifest | None, machine: str | None, busid: str
) -> tuple[str, ...]:
    """The image's files for this machine: of its boot NIC as iPXE tells it (`busid`), and of the

    PCI devices in its last document. Nothing known of it: the one for any.
    """
    if image is None or INDEX not in image.files:
        return ()
    seen = {pci_id(busid)} | (recorded(tx, machine) if machine else set())
    if not seen - {""}:
        return (ANY,) if ANY in image.files else ()
    try:
        index = _index(library.blob(image.files[INDEX].sha256))
    except (LibraryError, OSError):
        return ()
    names = (f"{PREFIX}{name}" for name in wanted(index, seen, "net"))
    return tuple(name for name in names if name in image.files)


def told(files: tuple[str, ...]) -> str:
    """For a boot's timeline."""
    names = ", ".join(name.removeprefix(PREFIX) for name in files)
    if not files:
        return ""
    return f"; with firmware for {'any NIC' if files == (ANY,) else names}"


def pci_id(busid: str) -> str:
    """ "14e4:1639" of iPXE's ${netX/busid}; "" of what is none (USB, UEFI's own driver)."""
    found = _PCI.fullmatch(busid.lower())
    return f"{found[1]}{found[2]}:{found[3]}{found[4]}" if found else ""


def recorded(tx: Tx, machine: str) -> set[str]:
    """The PCI devices of a machine's last document; empty when there is none."""
    newest = versions.some(tx, machine, limit=1)
    if not newest:
        return set()
    try:
        document = msgspec.json.decode(versions.body(tx, newest[0]), type=_Document)
    except msgspec.DecodeError:
        return set()
    devices = document.resources.pci.devices
    return {f"{one.vendor_id}:{one.product_id}".lower() for one in devices}


@lru_cache(maxsize=16)
def _index(path: Path) -> tuple[SidePackage, ...]:
    """What a blob is called is what it holds."""
    return tuple(parse_index(path.read_text()))
