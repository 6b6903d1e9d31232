# SPDX-License-Identifier: Apache-2.0
"""Which loader for which machine: DHCP option 93 (RFC 4578, IANA processor architecture types)."""

from dataclasses import dataclass
from typing import Literal

from muster.images import manifest

UefiLoader = Literal["grub", "ipxe"]


@dataclass(frozen=True)
class Client:
    """A kind of netboot client; `loader` is empty where no image exists.

    `signed` is what firmware with Secure Boot starts. Whether it is on, no client says in DHCP.
    `arch` is the image's, in Debian's words.
    """

    number: int
    name: str
    loader: str = ""
    signed: str = ""
    by_http: bool = False
    remedy: str = ""
    arch: str = "amd64"

    def first(self, uefi: UefiLoader) -> str:
        """The file to start, by the site's choice for UEFI."""
        return self.signed if self.signed and uefi == "grub" else self.loader

    @property
    def unserved(self) -> str:
        """Why a machine of this kind gets no loader, and what to do; "" when it gets one."""
        if self.loader:
            return ""
        what = self.remedy or _NO_IMAGE
        return f"no image for {self.name} (option 93: {self.number}): {what}"


_NO_IMAGE = "muster boots x86-64 machines, and arm64 ones by UEFI; read this one with its own tools"
_IA32 = "switch the firmware to 64 bit UEFI or to BIOS"
_RAW_HTTP = "switch the firmware to PXE, or to UEFI HTTP boot"

# undionly.kpxe uses the NIC driver of the PXE ROM, so it runs wherever the ROM did. snponly.efi
# does the same for UEFI; ipxe.efi brings drivers of its own and is offered under its name too.
# shim starts the GRUB beside it (grubx64.efi, grubaa64.efi), by the way it came itself.
SERVED = (
    Client(0, "BIOS x86", "undionly.kpxe"),
    Client(7, "UEFI x86-64", "snponly.efi", "shimx64.efi"),
    # RFC 4578 had 7 and 9 the other way round, so x86-64 firmware says either.
    Client(9, "UEFI x86-64 (EBC)", "snponly.efi", "shimx64.efi"),
    Client(16, "UEFI x86-64 by HTTP", "snponly.efi", "shimx64.efi", by_http=True),
    Client(11, "UEFI arm64", "ipxe-arm64.efi", "shimaa64.efi", arch="arm64"),
    Client(19, "UEFI arm64 by HTTP", "ipxe-arm64.efi", "shimaa64.efi", by_http=True, arch="arm64"),
)
# The rest of IANA's registry "Processor Architecture Types" (dhcpv6-parameters), by its names.
UNSERVED = (
    Client(1, "NEC/PC98"),
    Client(2, "Itanium"),
    Client(3, "DEC Alpha"),
    Client(4, "Arc x86"),
    Client(5, "Intel Lean Client"),
    Client(6, "UEFI x86 (32 bit)", remedy=_IA32),
    Client(8, "EFI Xscale"),
    Client(10, "UEFI arm (32 bit)"),
    Client(12, "OpenFirmware ppc64"),
    Client(13, "PowerPC ePAPR"),
    Client(14, "OPAL v3 ppc64el"),
    Client(15, "UEFI x86 (32 bit) by HTTP", by_http=True, remedy=_IA32),
    Client(17, "EBC by HTTP", by_http=True, remedy=_RAW_HTTP),
    Client(18, "UEFI arm (32 bit) by HTTP", by_http=True),
    Client(20, "BIOS x86 by HTTP", by_http=True, remedy=_RAW_HTTP),
    Client(21, "U-Boot arm (32 bit)"),
    Client(22, "U-Boot arm64"),
    Client(23, "U-Boot arm (32 bit) by HTTP", by_http=True),
    Client(24, "U-Boot arm64 by HTTP", by_http=True),
    Client(25, "UEFI riscv32"),
    Client(26, "UEFI riscv32 by HTTP", by_http=True),
    Client(27, "UEFI riscv64"),
    Client(28, "UEFI riscv64 by HTTP", by_http=True),
    Client(29, "UEFI riscv128"),
    Client(30, "UEFI riscv128 by HTTP", by_http=True),
    Client(31, "s390x basic"),
    Client(32, "s390x extended"),
    Client(33, "UEFI mips (32 bit)"),
    Client(34, "UEFI mips64"),
    Client(35, "UEFI Sunway (32 bit)"),
    Client(36, "UEFI Sunway (64 bit)"),
    Client(37, "UEFI loongarch32"),
    Client(38, "UEFI loongarch32 by HTTP", by_http=True),
    Client(39, "UEFI loongarch64"),
    Client(40, "UEFI loongarch64 by HTTP", by_http=True),
    Client(41, "Raspberry Pi arm"),
)
CLIENTS = (*SERVED, *UNSERVED)

LOADERS = {name: arch for arch, names in manifest.LOADERS.items() for name in names}
"""Every file that loaders are offered under, and whose image has it."""

ARCHITECTURES = {"x86_64": "amd64", "i386": "amd64", "arm64": "arm64"}
"""iPXE's ${buildarch} and GRUB's $grub_cpu to the image's; undionly.kpxe is an i386 program on an

amd64 machine."""


ANY = Client(-1, "PXE client", loader="any")
"""A client that does not say what it is."""


def client(number: int) -> Client:
    """The kind of client for an option 93 value."""
    for known in CLIENTS:
        if known.number == number:
            return known
    return Client(number, f"architecture {number}")
