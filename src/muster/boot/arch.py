# SPDX-License-Identifier: Apache-2.0
"""Which loader for which machine: DHCP option 93 (RFC 4578, IANA processor architecture types)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """A kind of netboot client; `loader` is empty where no image exists yet."""

    number: int
    name: str
    loader: str = ""
    by_http: bool = False


# undionly.kpxe uses the NIC driver of the PXE ROM, so it runs wherever the ROM did. snponly.efi
# does the same for UEFI; ipxe.efi brings drivers of its own and is offered under its name too.
CLIENTS = (
    Client(0, "BIOS x86", "undionly.kpxe"),
    Client(7, "UEFI x86-64", "snponly.efi"),
    Client(9, "UEFI x86-64 (EBC)", "snponly.efi"),
    Client(16, "UEFI x86-64 by HTTP", "snponly.efi", by_http=True),
    Client(6, "UEFI x86 (32 bit)"),
    Client(10, "UEFI arm (32 bit)"),
    Client(11, "UEFI arm64"),
    Client(12, "OpenFirmware ppc64"),
    Client(14, "OPAL v3 ppc64el"),
    Client(19, "UEFI arm64 by HTTP", by_http=True),
    Client(27, "UEFI riscv64"),
    Client(31, "s390x"),
)

LOADERS = ("undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi")

ARCHITECTURES = {"x86_64": "amd64", "i386": "amd64", "arm64": "arm64"}
"""iPXE's ${buildarch} to the image's; undionly.kpxe is an i386 program on an amd64 machine."""


def client(number: int) -> Client:
    """The kind of client for an option 93 value."""
    for known in CLIENTS:
        if known.number == number:
            return known
    return Client(number, f"architecture {number}")
