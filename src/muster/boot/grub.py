# SPDX-License-Identifier: Apache-2.0
"""Renders what GRUB runs on UEFI machines, with Secure Boot or without.

The signed GRUB asks for grub/grub.cfg where it came from, TFTP or HTTP. That file is the same for
everybody: GRUB fills in who it is and asks for the answer as iPXE does.
"""

import math
import re
from urllib.parse import urlsplit

from muster.boot.commandline import command_line, path
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.policy import Policy
from muster.machine.identity import usable_mac

# What firmware would have started next. GRUB's `exit` ends in OVMF's menu, and Secure Boot goes on
# either way: shim checks what GRUB starts. The vendors' own names come before the fallback's.
_DISK = (
    *("debian/shimx64", "ubuntu/shimx64", "redhat/shimx64", "centos/shimx64", "rocky/shimx64"),
    *("almalinux/shimx64", "fedora/shimx64", "opensuse/shim", "sles/shim"),
    *("systemd/systemd-bootx64", "Microsoft/Boot/bootmgfw", "BOOT/BOOTX64"),
    *("debian/shimaa64", "ubuntu/shimaa64", "redhat/shimaa64", "rocky/shimaa64"),
    *("systemd/systemd-bootaa64", "BOOT/BOOTAA64"),
)
_LOCAL_DISK = (
    "".join(
        f"if search --no-floppy --file --set=root /EFI/{path}.efi; then\n"
        f"  chainloader /EFI/{path}.efi\n  boot\nfi\n"
        for path in _DISK
    )
    + "echo muster: no disk of this machine has a boot loader\nexit 1\n"
)

_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:'()/_-]+")
_SIGNS = re.compile(r"[\\;{}'\"$&|<>#]")


def start(*urls: str) -> str:
    """The first configuration; `urls` are the server's, one of them by IPv6 perhaps.

    smbios: type 1, UUID at 8 (SMBIOS 7.2).

    The serial number is not told: GRUB cannot escape it for an address. `source`, as `configfile`
    ends at a prompt where the answer has no menu.
    """
    # An address that this machine has no way to fails at once.
    sources = "\n".join(f'  source "{device(url)}/boot/grub?$query"' for url in urls)
    return f"""\
set timeout=0
smbios --type 1 --get-uuid 8 --set uuid
set query="uuid=$uuid&mac=$net_default_mac&arch=$grub_cpu"
while true; do
{sources}
  echo "muster: asking {" and ".join(urls)} again in 3 s"
  sleep 3
done
"""


def device(url: str) -> str:
    """GRUB's name for what a URL names: (http,HOST:PORT)/path."""
    parts = urlsplit(url)
    return f"(http,{parts.netloc}){parts.path}"


LENGTH = 8192
"""Bytes of every answer. By UEFI HTTP boot GRUB asks for the size first (HEAD), then for the

answer, which is made once: it holds a one-time secret."""


def script(plan: BootPlan, policy: Policy, *, mac: str) -> str:
    """The answer for one machine, which said that it boots from the NIC `mac`; LENGTH bytes."""
    return _answer(plan, policy, mac).ljust(LENGTH - 1) + "\n"


def _answer(plan: BootPlan, policy: Policy, mac: str) -> str:
    if plan.wait_s:
        wait_s = math.ceil(plan.wait_s)
        return f"echo 'muster: {plan.reason}: asking again in {wait_s} s'\nsleep {wait_s}\n"
    image = plan.image
    told = _UNSAFE.sub(" ", plan.reason)[:300].replace("'", " ")
    head = f"echo 'muster: boot {plan.boot}: {plan.purpose}: {told}'"
    if image is None:
        return f"{head}\n{_LOCAL_DISK}"
    files = device(policy.files_url or policy.url)
    initrds = " ".join(
        f'"{files}{path(image, name, plan.boot)}"' for name in ("initrd", *plan.with_firmware)
    )
    nic = usable_mac(mac).replace(":", "-")
    # GRUB's own signs: the `;` of a seed's address would end its command.
    words = _SIGNS.sub(r"\\\g<0>", command_line(plan, policy, image, nic=nic))
    return f"""\
{head}
linux "{files}{path(image, "kernel", plan.boot)}" {words}
initrd {initrds}
boot
echo 'muster: cannot start the kernel; asking the server again in 5 s'
sleep 5
"""
