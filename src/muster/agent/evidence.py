# SPDX-License-Identifier: Apache-2.0
"""What identifies this machine, read from /sys and /proc below `root`."""

import array
import fcntl
import os
import re
import socket
import struct
from pathlib import Path
from typing import Literal

from muster.wire.hello import Evidence, Nic

_SIOCETHTOOL = 0x8946
_ETHTOOL_GPERMADDR = 0x20
_TEXT_LIMIT = 255


def evidence(root: Path = Path("/")) -> Evidence:
    """SMBIOS strings and every NIC that has hardware behind it."""
    dmi = root / "sys/class/dmi/id"
    return Evidence(
        uuid=text(dmi / "product_uuid"),
        serial=text(dmi / "product_serial"),
        vendor=text(dmi / "sys_vendor"),
        product=text(dmi / "product_name"),
        board_serial=text(dmi / "board_serial"),
        nics=nics(root),
    )


def nics(root: Path) -> list[Nic]:
    """NICs with a `device` link: no bridges, bonds or tunnels; none whose MAC is made up.

    A driver that finds none in the hardware takes another one at each boot (addr_assign_type 1,
    NET_ADDR_RANDOM), which would be a new NIC each time.
    """
    found = []
    for link in sorted((root / "sys/class/net").glob("*/device")):
        nic = link.parent
        if text(nic / "addr_assign_type") == "1":
            continue
        mac = (permanent_mac(nic.name) if root == Path("/") else "") or text(nic / "address")
        if mac:
            # A name may be any bytes but white space and "/"; those that are no text are dropped.
            name = "".join(c for c in nic.name if c.isprintable())
            found.append(Nic(mac, name, _target(link / "driver"), _target(link / "subsystem")))
    return found[:512]


def permanent_mac(name: str) -> str:
    """The address in the NIC's own memory (ETHTOOL_GPERMADDR); a bond changes the other one."""
    answer = array.array("B", struct.pack("II32x", _ETHTOOL_GPERMADDR, 32))
    address, _ = answer.buffer_info()
    request = struct.pack("16sP16x", name.encode()[:15], address)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCETHTOOL, request)
    except OSError:
        return ""
    size = struct.unpack_from("I", answer, 4)[0]
    raw = answer[8 : 8 + size].tobytes()
    return raw.hex(":") if size == 6 and any(raw) else ""


def boot_mac(root: Path = Path("/")) -> str:
    """The MAC that the loader named: BOOTIF=01-aa-bb-... on the kernel command line."""
    found = re.search(r"\bBOOTIF=01-([0-9a-fA-F-]{17})", text(root / "proc/cmdline", limit=4096))
    return found.group(1).lower().replace("-", ":") if found else ""


def firmware(root: Path = Path("/")) -> Literal["bios", "uefi"]:
    """How the machine was started."""
    return "uefi" if (root / "sys/firmware/efi").is_dir() else "bios"


def kernel() -> str:
    """The running kernel's release."""
    return os.uname().release


def text(path: Path, *, limit: int = _TEXT_LIMIT) -> str:
    """The start of a file without what no text has; "" when it cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit)
    except OSError:
        return ""
    return "".join(c for c in raw.decode(errors="replace") if c.isprintable()).strip()


def _target(link: Path) -> str:
    return link.resolve().name[:32] if link.exists() else ""
