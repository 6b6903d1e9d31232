# SPDX-License-Identifier: Apache-2.0
"""Looks at the network interface that machines boot on, and for other DHCP servers there."""

import json
import re
import shutil
import subprocess

from muster.boot.dhcp import BadPool, Segment, check_pool
from muster.server.settings import BadSettings, Settings

_LEASE = re.compile(r"lease of (?P<ip>\S+) obtained from (?P<server>[0-9.]+)")


def find(settings: Settings) -> Segment:
    """The segment of the settings' interface; raises BadSettings with the remedy."""
    name = settings.interface
    shown = subprocess.run(
        ["ip", "-j", "-4", "addr", "show"], capture_output=True, text=True, check=False, timeout=10
    )
    links = json.loads(shown.stdout or "[]")
    addresses = {link["ifname"]: link.get("addr_info", []) for link in links if link}
    if name not in addresses and not _exists(name):
        there = ", ".join(sorted(n for n in addresses if n != "lo")) or "none with an address"
        raise BadSettings(f"interface {name!r} is missing; this machine has: {there}")
    usable = [a for a in addresses.get(name, []) if a.get("family") == "inet"]
    if not usable:
        raise BadSettings(
            f"interface {name!r} has no IPv4 address: ip addr add ADDRESS/PREFIX dev {name}"
        )
    segment = Segment(
        interface=name,
        address=f"{usable[0]['local']}/{usable[0]['prefixlen']}",
        pool=settings.dhcp_pool,
        router=settings.dhcp_router,
        dns=tuple(settings.dhcp_dns),
    )
    try:
        check_pool(segment)
    except BadPool as error:
        raise BadSettings(str(error)) from error
    return segment


def _exists(name: str) -> bool:
    shown = subprocess.run(
        ["ip", "link", "show", "dev", name], capture_output=True, check=False, timeout=10
    )
    return shown.returncode == 0


def other_server(interface: str) -> str:
    """The address of a DHCP server that answers on this segment, "" when none does.

    Asks as a client would (busybox udhcpc with a hook that configures nothing, and gives the
    lease back); takes about two seconds when there is no answer.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        return ""
    asked = subprocess.run(
        [busybox, *"udhcpc -f -q -n -R -t 2 -T 1 -s /bin/true -i".split(), interface],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    found = _LEASE.search(asked.stdout + asked.stderr)
    return found["server"] if found else ""
