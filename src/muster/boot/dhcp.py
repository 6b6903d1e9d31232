# SPDX-License-Identifier: Apache-2.0
"""Writes dnsmasq's configuration: DHCP, proxyDHCP or neither, and TFTP for the loaders only.

The configuration is the same for every machine; what one machine shall do is decided in the HTTP
answer to iPXE, so any other DHCP server can stand in for this one.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from muster.boot.arch import CLIENTS, UefiLoader

TFTP_AT_ONCE = 1000

Mode = Literal["own", "proxy", "external", "none"]


@dataclass(frozen=True)
class Segment:
    """The network that machines boot on; `address` is ours with its prefix, "10.0.0.1/24"."""

    interface: str
    address: str
    pool: str = ""
    router: str = ""
    dns: tuple[str, ...] = ()

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The segment's network."""
        return ipaddress.IPv4Interface(self.address).network

    @property
    def ip(self) -> str:
        """Our address without the prefix."""
        return str(ipaddress.IPv4Interface(self.address).ip)

    def range(self) -> tuple[str, str]:
        """The pool as first and last address; by default the upper half of the network."""
        if self.pool:
            first, _, last = self.pool.partition(",")
            return first.strip(), last.strip()
        hosts = self.network
        return str(hosts[hosts.num_addresses // 2]), str(hosts[-2])


class BadPool(ValueError):
    """The pool is not two addresses of the segment, in order."""


def check_pool(segment: Segment) -> None:
    """Raise BadPool, saying what is wrong with the pool."""
    if segment.network.prefixlen > 30:
        raise BadPool(f"{segment.address} leaves no addresses for machines: use /30 or larger")
    first, last = segment.range()
    try:
        low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
    except ValueError as error:
        raise BadPool(f"dhcp_pool {segment.pool!r}: {error}; write FIRST,LAST") from error
    if low not in segment.network or high not in segment.network or low > high:
        raise BadPool(f"dhcp_pool {first},{last} is no range inside {segment.network}")


def configuration(
    segment: Segment, mode: Mode, *, url: str, folder: Path, uefi: UefiLoader = "grub"
) -> str:
    """dnsmasq.conf for one segment; `folder` holds tftp/ and the leases."""
    lines = [
        "# Written by muster at every start; changes are lost. Options: dnsmasq(8).",
        "port=0",
        f"interface={segment.interface}",
        "bind-interfaces",
        "except-interface=lo",
        "no-resolv",
        "no-hosts",
        "no-ping",
        "log-dhcp",
        "log-facility=-",
        f"dhcp-leasefile={folder}/leases",
        "enable-tftp",
        f"tftp-root={folder}/tftp",
        "tftp-no-fail",
        # dnsmasq's own limits, 50 and 1000, are for a home: those beyond them hear nothing.
        f"tftp-max={TFTP_AT_ONCE}",
        "dhcp-match=set:ipxe,175",
        "dhcp-userclass=set:ipxe,iPXE",
        f"dhcp-boot=tag:ipxe,{url}/boot/start.ipxe",
        # iPXE need not wait for a proxyDHCP offer that will not come (ipxe.org/cfg/no-pxedhcp).
        "dhcp-option=encap:175,176,1b",
    ]
    if mode == "own":
        lines += _own(segment, url, uefi)
    elif mode == "proxy":
        lines += _proxy(segment, url, uefi)
    # "external": without a range dnsmasq speaks no DHCP, and serves the loaders by TFTP.
    return "\n".join(lines) + "\n"


def _own(segment: Segment, url: str, uefi: UefiLoader) -> list[str]:
    first, last = segment.range()
    lines = [
        "dhcp-authoritative",
        f"dhcp-lease-max={max(1000, segment.network.num_addresses)}",
        # Not dhcp-sequential-ip: it offers one address to all who ask before the first takes it and
        # refuses the others, 165 NAKs for 60 machines switched on in a second (Dell's PXE gives up
        # on one); addresses hashed from MACs gave none, and come back after a lease has ended.
        f"dhcp-range={first},{last},{segment.network.netmask},1h",
        f"dhcp-option=option:router{',' if segment.router else ''}{segment.router}",
        f"dhcp-option=option:dns-server{''.join(',' + server for server in segment.dns)}",
    ]
    for client in CLIENTS:
        tag = f"arch{client.number}"
        lines.append(f"dhcp-match=set:{tag},option:client-arch,{client.number}")
        loader = client.first(uefi)
        if not loader:
            # Forced, as nobody asks for a message: it is for who looks at the wire (RFC 2132, 9.9).
            lines.append(f'dhcp-option-force=tag:{tag},tag:!ipxe,56,"muster: {client.unserved}"')
            continue
        if client.by_http:
            # UEFI HTTP clients take an offer only when option 60 comes back (UEFI 2.10, 24.7.3).
            lines.append(f"dhcp-option-force=tag:{tag},tag:!ipxe,60,HTTPClient")
            lines.append(f"dhcp-boot=tag:{tag},tag:!ipxe,{url}/boot/loader/{loader}")
        else:
            lines.append(f"dhcp-boot=tag:{tag},tag:!ipxe,{loader}")
    return lines


def _proxy(segment: Segment, url: str, uefi: UefiLoader) -> list[str]:
    """Beside another server that gives the addresses; dnsmasq cannot answer UEFI HTTP so."""
    loaders = {client.number: client.first(uefi) for client in CLIENTS}
    return [
        f"dhcp-range={segment.network.network_address},proxy,{segment.network.netmask}",
        f'pxe-service=tag:!ipxe,x86PC,"muster",{loaders[0]}',
        f'pxe-service=tag:!ipxe,X86-64_EFI,"muster",{loaders[7]}',
        f'pxe-service=tag:!ipxe,BC_EFI,"muster",{loaders[9]}',
        f'pxe-service=tag:ipxe,x86PC,"muster",{url}/boot/start.ipxe',
        f'pxe-service=tag:ipxe,X86-64_EFI,"muster",{url}/boot/start.ipxe',
    ]
