# SPDX-License-Identifier: Apache-2.0
"""Renders the scripts that iPXE runs. Nothing here decides; lifecycle.enlist.plan_boot did."""

import math
import re

from muster.boot.commandline import command_line, path
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.policy import Policy

# Leaving iPXE is slow or worse: OVMF opens its menu after `exit`, and tries HTTP boot for 68 s
# after `exit 1`; SeaBIOS takes 2 s. Starting the first disk from here takes 1 s on both.
_LOCAL_DISK = """\
iseq ${platform} efi && goto efi ||
sanboot --no-describe --drive 0x80 || exit
:efi
sanboot --no-describe --drive 0 || exit 1
"""

# From a medium, the first disk may be that very medium, and iPXE would start again for ever (seen
# with a USB disk on OVMF): the firmware goes on to its next entry.
_NEXT_ENTRY = "exit 1\n"

_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;'()/_-]+")


def by_ipv6(policy: Policy, *, pause_s: int = 3) -> str:
    """The first script of an iPXE that UEFI fetched by HTTP over IPv6: it takes over the firmware's

    address, asks no DHCPv6 and so hears of no script, but looks for one where it came from.
    """
    script = start(policy, pause_s=pause_s).partition("\n")[2]
    return f"#!ipxe\nifconf --configurator ipv6\n{script}"


def start(policy: Policy, *, pause_s: int = 3) -> str:
    """The first script, the same for everybody: iPXE fills in who it is and asks again.

    A DHCP boot file name is not expanded by iPXE, a script is; ${netX} is the NIC that was used.
    ${medium} is set by the script that an iPXE brings along (snippets.py), else empty.
    """
    query = (
        "uuid=${uuid}&mac=${netX/mac}&serial=${serial:uristring}"
        "&arch=${buildarch}&firmware=${platform}&busid=${netX/busid:hexraw}&medium=${medium}"
    )
    return f"""#!ipxe
:again
chain --replace {policy.url}/boot/ipxe?{query} || goto failed
:failed
echo muster: no answer from {policy.url}: asking again in {pause_s} s
sleep {pause_s}
goto again
"""


def script(plan: BootPlan, policy: Policy, *, medium: bool = False) -> str:
    """The answer for one machine; `medium`: its iPXE came from one."""
    if plan.wait_s:
        wait_s = math.ceil(plan.wait_s)
        return f"""#!ipxe
echo muster: {plan.reason}: asking again in {wait_s} s
sleep {wait_s}
chain --replace {policy.url}/boot/start.ipxe
"""
    image = plan.image
    told = f"echo muster: boot {plan.boot}: {plan.purpose}: {_UNSAFE.sub(' ', plan.reason)[:300]}"
    if image is None:
        return f"#!ipxe\n{told}\n{_NEXT_ENTRY if medium else _LOCAL_DISK}"
    files = policy.files_url or policy.url
    kernel = f"{files}{path(image, 'kernel', plan.boot)}"
    named = {name.replace("/", "-"): name for name in ("initrd", *plan.with_firmware)}
    # The kernel of a UEFI machine asks iPXE for each by its name, a BIOS machine's is given all.
    asked = " ".join(f"initrd={name}" for name in named)
    initrds = "\n".join(
        f"initrd --name {name} {files}{path(image, file, plan.boot)} || goto failed"
        for name, file in named.items()
    )
    words = command_line(plan, policy, image, nic="${netX/mac:hexhyp}")
    return f"""#!ipxe
{told}
kernel {kernel} {asked} {words} || goto failed
{initrds}
boot || goto failed
:failed
echo muster: cannot start the kernel; asking the server again in 5 s
sleep 5
chain --replace {policy.url}/boot/start.ipxe
"""
