# SPDX-License-Identifier: Apache-2.0
"""Which loader for which machine: DHCP option 93 (RFC 4578, IANA processor architecture types)."""

from dataclasses import dataclass
from typing import Literal

UefiLoader = Literal["grub", "ipxe"]


@dataclass(frozen=True)
class Client:
    """A kind of netboot client; `loader` is empty where no image exists yet.

    `signed` is what firmware with Secure Boot starts. Whether it is on, no client says in DHCP.
    """

    number: int
    name: str
    loader: str = ""
    signed: str = ""
    by_http: bool = False

    def first(self, uefi: UefiLoader) -> str:
        """The file to start, by the site's choice for UEFI."""
        return self.signed if self.signed and uefi == "grub" else self.loader


# undionly.kpxe uses the NIC driver of the PXE ROM, so it runs wherever the ROM did. snponly.efi
# does the same for UEFI; ipxe.efi brings drivers of its own and is offered under its name too.
# shim starts the grubx64.efi beside it, by the way it came itself.
CLIENTS = (
    Client(0, "BIOS x86", "undionly.kpxe"),
    Client(7, "UEFI x86-64", "snponly.efi", "shimx64.efi"),
    Client(9, "UEFI x86-64 (EBC)", "snponly.efi", "shimx64.efi"),
    Client(16, "UEFI x86-64 by HTTP", "snponly.efi", "shimx64.efi", by_http=True),
    Client(6, "UEFI x86 (32 bit)"),
    Client(10, "UEFI arm (32 bit)"),
    Client(11, "UEFI arm64"),
    Client(12, "OpenFirmware ppc64"),
    Client(14, "OPAL v3 ppc64el"),
    Client(19, "UEFI arm64 by HTTP", by_http=True),
    Client(27, "UEFI riscv64"),
    Client(31, "s390x"),
)

LOADERS = (
    *("undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi"),
    *("shimx64.efi", "grubx64.efi"),
)

ARCHITECTURES = {"x86_64": "amd64", "i386": "amd64", "arm64": "arm64"}
"""iPXE's ${buildarch} and GRUB's $grub_cpu to the image's; undionly.kpxe is an i386 program on an

amd64 machine."""


def client(number: int) -> Client:
    """The kind of client for an option 93 value."""
    for known in CLIENTS:
        if known.number == number:
            return known
    return Client(number, f"architecture {number}")
