# SPDX-License-Identifier: Apache-2.0
"""The lab's network: one bridge, a tap for each NIC, and "the lab's router".

Everything is inside the supervisor's own network namespace. Nothing leaves it: the
namespace has no other interface, and it dies with the supervisor.
"""

import subprocess
from pathlib import Path

from muster.lab.children import Child
from muster.lab.errors import CannotStart

BRIDGE = "br0"
IPV4 = "10.99.0.1/24"
IPV6 = "fd99::1/64"

# The link-local address is set by hand without duplicate detection (nodad), because
# the router could answer no solicitation in the second that the detection takes.
_ADDRESSES = f"""
addr replace {IPV4} dev {BRIDGE}
addr replace fe80::1/64 dev {BRIDGE} nodad
addr replace {IPV6} dev {BRIDGE} nodad
"""

_BRIDGE_UP = f"""
link set lo up
link add {BRIDGE} address 02:00:00:99:00:01 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set {BRIDGE} addrgenmode none
"""


def ip(batch: str) -> None:
    """Run lines of ip(8) in one process. Raises CannotStart with ip's own words."""
    lines = "\n".join(line for line in batch.splitlines() if line.strip())
    done = subprocess.run(
        ["ip", "-batch", "-"], input=lines, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise CannotStart(
            f"ip: {done.stderr.strip()} (in: {lines!r}); "
            "the kernel needs bridge and tun: modprobe bridge tun"
        )


def bridge_up() -> None:
    ip(_BRIDGE_UP)
    # Seen: the bridge sometimes took an address from the lab's own router advertisement.
    Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/accept_ra").write_text("0")
    set_bridge("up")


def set_bridge(state: str) -> None:
    """Cut ("down") or mend ("up") the whole segment. The kernel drops IPv6 addresses on down."""
    ip(f"link set {BRIDGE} {state}\n{_ADDRESSES if state == 'up' else ''}")


def add_taps(names: list[str]) -> None:
    for tap in names:
        ip(f"tuntap add dev {tap} mode tap\nlink set {tap} addrgenmode none master {BRIDGE} up")


def delete_taps(names: list[str]) -> None:
    ip("\n".join(f"link delete {tap}" for tap in names))


def add_bmc_address(number: int) -> str:
    """The management address of one BMC; it is on loopback, so a cut segment does not cut it."""
    address = f"10.98.{number // 250}.{number % 250 + 1}"
    ip(f"addr replace {address}/32 dev lo")
    return address


def start_router(log: Path) -> Child:
    """IPv6 router advertisements and nothing else: no DHCPv4, no TFTP, no DNS.

    The iPXE of 2019 in QEMU's NIC ROMs waits 16 s for a router before it goes on with
    IPv4. With one, power-on to the boot script took 2.5 s instead of 18.5 s.
    """
    argv = ["dnsmasq", "--conf-file=/dev/null", "--port=0", f"--interface={BRIDGE}"]
    argv += ["--except-interface=lo", "--bind-interfaces", "--no-resolv", "--no-hosts"]
    # no-daemon also means that dnsmasq does not change its user, which fails in a user namespace.
    argv += ["--no-daemon", "--pid-file=", "--enable-ra", "--dhcp-range=fd99::,ra-only,64"]
    return Child(argv, log=log)
