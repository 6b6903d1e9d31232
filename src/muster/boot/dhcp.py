# SPDX-License-Identifier: Apache-2.0
"""Writes dnsmasq's configuration: DHCP, proxyDHCP or neither, and TFTP for the loaders only.

The configuration is the same for every machine; what one machine shall do is decided in the HTTP
answer to iPXE, so any other DHCP server can stand in for this one.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from muster.boot.arch import CLIENTS, UefiLoader
from muster.machine.identity import usable_mac

TFTP_AT_ONCE = 1000

Mode = Literal["own", "proxy", "external", "none"]


@dataclass(frozen=True)
class Remote:
    """A network behind a DHCP relay; `relay` is the URL of a `muster relay` there, or ""."""

    first: str
    last: str
    network: ipaddress.IPv4Network
    router: str = ""
    relay: str = ""


@dataclass(frozen=True)
class Segment:
    """The network that machines boot on; `address` is ours with its prefix, "10.0.0.1/24".

    `reserved`: the address that a MAC always gets, here or in a network of `remote`.
    """

    interface: str
    address: str
    pool: str = ""
    router: str = ""
    dns: tuple[str, ...] = ()
    remote: tuple[Remote, ...] = ()
    reserved: tuple[tuple[str, str], ...] = ()

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
    check_range("dhcp_pool", segment.range(), segment.network)


def check_range(
    setting: str, pool: tuple[str, str], network: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    """Raise BadPool unless the pool is first and last address of a range inside the network."""
    told = f"{setting} {','.join(pool)}"
    try:
        first, last = map(ipaddress.ip_address, pool)
    except ValueError as error:
        raise BadPool(f"{told}: {error}; write FIRST,LAST") from error
    # An address of the other family is in no network of this one.
    if first not in network or last not in network or int(first) > int(last):
        raise BadPool(f"{told} is no range inside {network}")


def remote(text: str) -> Remote:
    """FIRST-LAST/PREFIX [router ADDRESS] [relay URL]; raises BadPool."""
    words = text.split()
    told = dict(zip(words[1::2], words[2::2], strict=False))
    first, dash, rest = (words[0] if words else "").partition("-")
    last, slash, prefix = rest.partition("/")
    if not dash or not slash or len(words) % 2 == 0 or set(told) - {"router", "relay"}:
        raise BadPool(f"dhcp_remote {text!r}: write FIRST-LAST/PREFIX [router ADDRESS] [relay URL]")
    try:
        network = ipaddress.IPv4Network(f"{first}/{prefix}", strict=False)
        low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
        router = str(ipaddress.IPv4Address(told["router"])) if "router" in told else ""
        relay = told.get("relay", "").rstrip("/")
        if relay:
            ipaddress.IPv4Address(urlsplit(relay).hostname or "")
    except ValueError as error:
        raise BadPool(f"dhcp_remote {text!r}: {error}") from error
    if high not in network or low > high:
        raise BadPool(f"dhcp_remote {text!r}: {first}-{last} is no range inside {network}")
    return Remote(first, last, network, router, relay)


def reservation(text: str) -> tuple[str, str]:
    """MAC=ADDRESS; raises BadPool."""
    mac, _, address = (part.strip() for part in text.partition("="))
    known = usable_mac(mac)
    if not known:
        raise BadPool(f"dhcp_reserved {text!r}: {mac!r} is no MAC address; write MAC=ADDRESS")
    try:
        return known, str(ipaddress.IPv4Address(address))
    except ValueError as error:
        raise BadPool(f"dhcp_reserved {text!r}: {error}; write MAC=ADDRESS") from error


def check_places(segment: Segment) -> None:
    """Raise BadPool where a reserved address is in no network, or is two machines'."""
    networks = [segment.network, *(place.network for place in segment.remote)]
    taken = {segment.ip: "this server"}
    for mac, address in segment.reserved:
        if not any(ipaddress.IPv4Address(address) in network for network in networks):
            known = ", ".join(map(str, networks))
            raise BadPool(f"dhcp_reserved {mac}={address}: in none of the networks {known}")
        if address in taken:
            raise BadPool(f"dhcp_reserved {mac}={address}: {taken[address]} has this address")
        taken[address] = mac


def configuration(
    segment: Segment, mode: Mode, *, url: str, folder: Path, uefi: UefiLoader = "grub"
) -> str:
    """dnsmasq.conf for one segment; `folder` holds tftp/ and the leases."""
    lines = _head(segment.interface, folder)
    if mode == "own":
        lines += _own(segment, url, uefi)
    elif mode == "proxy":
        lines.append(f"dhcp-boot=tag:ipxe,{url}/boot/start.ipxe")
        lines += _proxy(segment, url, uefi)
    # "external": without a range dnsmasq speaks no DHCP, and serves the loaders by TFTP.
    return "\n".join(lines) + "\n"


def alone(interface: str, folder: Path) -> str:
    """dnsmasq.conf without DHCPv4: the loaders by TFTP, and what is added behind it."""
    return "\n".join(_head(interface, folder)) + "\n"


def _head(interface: str, folder: Path) -> list[str]:
    return [
        "# Written by muster at every start; changes are lost. Options: dnsmasq(8).",
        "port=0",
        f"interface={interface}",
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
        *IPXE,
    ]


IPXE = (
    "dhcp-match=set:ipxe,175",
    "dhcp-userclass=set:ipxe,iPXE",
    # iPXE need not wait for a proxyDHCP offer that will not come (ipxe.org/cfg/no-pxedhcp).
    "dhcp-option=encap:175,176,1b",
)


def kinds() -> list[str]:
    """dnsmasq's tags for the kinds of clients; once for all networks, why some get no loader."""
    lines = [f"dhcp-match=set:arch{c.number},option:client-arch,{c.number}" for c in CLIENTS]
    # Forced, as nobody asks for a message: it is for who looks at the wire (RFC 2132, 9.9).
    lines += [f'dhcp-option-force=tag:arch{c.number},tag:!ipxe,56,"muster: {c.unserved}"'
              for c in CLIENTS if c.unserved]  # fmt: skip
    return lines


def boot_lines(url: str, uefi: UefiLoader, *, tftp: str = "", place: str = "") -> list[str]:
    """What each kind of client starts, in dnsmasq's words; needs IPXE and `kinds`.

    `tftp`: where from, when not from dnsmasq itself; `place`: the tag of a network, for the
    machines there only.
    """
    here = f"tag:{place}," if place else ""
    lines = [f"dhcp-boot={here}tag:ipxe,{url}/boot/start.ipxe"]
    for client in CLIENTS:
        tag = f"arch{client.number}"
        of = f"{here}tag:{tag},tag:!ipxe"
        loader = client.first(uefi)
        if not loader:
            continue
        if client.by_http:
            # UEFI HTTP clients take an offer only when option 60 comes back (UEFI 2.10, 24.7.3).
            lines.append(f"dhcp-option-force={of},60,HTTPClient")
            lines.append(f"dhcp-boot={of},{url}/boot/loader/{loader}")
        else:
            lines.append(f"dhcp-boot={of},{loader}{f',,{tftp}' if tftp else ''}")
    return lines


def _own(segment: Segment, url: str, uefi: UefiLoader) -> list[str]:
    first, last = segment.range()
    here = Remote(first, last, segment.network, segment.router)
    size = sum(place.network.num_addresses for place in (here, *segment.remote))
    lines = [
        "dhcp-authoritative",
        f"dhcp-lease-max={max(1000, size)}",
        f"dhcp-option=option:dns-server{''.join(',' + server for server in segment.dns)}",
        *kinds(),
        *_place("here", here),
    ]
    for number, place in enumerate(segment.remote, 1):
        lines += _place(f"far{number}", place)
        # Without a relay of ours TFTP is asked of us through the router.
        tftp = _host(place) or segment.ip
        lines += boot_lines(place.relay or url, uefi, tftp=tftp, place=f"far{number}")
    lines += boot_lines(url, uefi, place="here" if segment.remote else "")
    # By the MAC alone: firmware, iPXE and the initrd each name themselves otherwise.
    return [*lines, *(f"dhcp-host={mac},{address}" for mac, address in segment.reserved)]


def _place(tag: str, place: Remote) -> list[str]:
    # Not dhcp-sequential-ip: it offers one address to all who ask before the first takes it and
    # refuses the others, 165 NAKs for 60 machines switched on in a second (Dell's PXE gives up
    # on one); addresses hashed from MACs gave none, and come back after a lease has ended.
    told = f",{place.router}" if place.router else ""
    return [
        f"dhcp-range=set:{tag},{place.first},{place.last},{place.network.netmask},1h",
        f"dhcp-option=tag:{tag},option:router{told}",
    ]


def _host(place: Remote) -> str:
    return urlsplit(place.relay).hostname or ""


def _proxy(segment: Segment, url: str, uefi: UefiLoader) -> list[str]:
    """Beside another server that gives the addresses; dnsmasq cannot answer UEFI HTTP so."""
    loaders = {client.number: client.first(uefi) for client in CLIENTS}
    return [
        f"dhcp-range={segment.network.network_address},proxy,{segment.network.netmask}",
        f'pxe-service=tag:!ipxe,x86PC,"muster",{loaders[0]}',
        f'pxe-service=tag:!ipxe,X86-64_EFI,"muster",{loaders[7]}',
        f'pxe-service=tag:!ipxe,BC_EFI,"muster",{loaders[9]}',
        f'pxe-service=tag:!ipxe,ARM64_EFI,"muster",{loaders[11]}',
        f'pxe-service=tag:ipxe,x86PC,"muster",{url}/boot/start.ipxe',
        f'pxe-service=tag:ipxe,X86-64_EFI,"muster",{url}/boot/start.ipxe',
        f'pxe-service=tag:ipxe,ARM64_EFI,"muster",{url}/boot/start.ipxe',
    ]
