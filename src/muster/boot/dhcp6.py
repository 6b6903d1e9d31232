# SPDX-License-Identifier: Apache-2.0
"""Writes what dnsmasq needs for machines that start by IPv6: DHCPv6, and router advertisements.

UEFI only, as no BIOS boots by IPv6. The machine says what it is in option 61 and is told its loader
as a URL in option 59 (RFC 5970), TFTP or HTTP; there is no proxyDHCP and no "next server".
"""

import ipaddress
from dataclasses import dataclass

from muster.boot.arch import CLIENTS, UefiLoader
from muster.boot.dhcp import BadPool, check_range

_HTTP_CLIENT = "0000HTTPClient"
"""Option 16, without which UEFI's HTTP boot takes no answer (UEFI 2.10, 24.7.3.2): four bytes of an

enterprise number, two of a length, a text. dnsmasq 2.90 takes text only and puts the length of the
whole before it, so number and length cannot be right; EDK2 compares ten bytes from the seventh on.
"""


@dataclass(frozen=True)
class Segment6:
    """The network that machines boot on; `address` is ours with its prefix, "fd00::1/64"."""

    interface: str
    address: str
    pool: str = ""
    dns: tuple[str, ...] = ()

    @property
    def network(self) -> ipaddress.IPv6Network:
        """The segment's network."""
        return ipaddress.IPv6Interface(self.address).network

    @property
    def ip(self) -> str:
        """Our address without the prefix."""
        return str(ipaddress.IPv6Interface(self.address).ip)

    def range(self) -> tuple[str, str]:
        """The pool as first and last address; by default those that end in 1000 to ffff."""
        if self.pool:
            first, _, last = self.pool.partition(",")
            return first.strip(), last.strip()
        return str(self.network[0x1000]), str(self.network[0xFFFF])


def check_pool(segment: Segment6) -> None:
    """Raise BadPool, saying what is wrong with the network or the pool."""
    if segment.network.prefixlen != 64:
        raise BadPool(f"{segment.address}: machines make their addresses in a /64 (RFC 4862) only")
    check_range("dhcp6_pool", segment.range(), segment.network)


def lines(segment: Segment6, url: str, uefi: UefiLoader = "grub") -> str:
    """To be added to dnsmasq.conf; `url` is the server's by IPv6."""
    first, last = segment.range()
    told = [
        "enable-ra",
        # Lifetime 0: we are no router, and beside the site's own router we take its place nowhere.
        f"ra-param={segment.interface},10,0",
        # slaac: the kernel makes itself an address of what it hears here; firmware asks by DHCPv6.
        f"dhcp-range=set:six,{first},{last},slaac,64,1h",
        f"dhcp-option=tag:ipxe,option6:bootfile-url,{url}/boot/start.ipxe",
        *(f"dhcp-match=set:arch{c.number},option6:61,00:{c.number:02x}" for c in CLIENTS),
    ]
    if segment.dns:
        names = ",".join(f"[{address}]" for address in segment.dns)
        told.append(f"dhcp-option=option6:dns-server,{names}")
    for client in CLIENTS:
        # GRUB 2.12 that came by HTTP over IPv6 asks for nothing at all and waits at its prompt.
        loader = client.loader if client.by_http else client.first(uefi)
        if not loader or not client.number:
            continue
        of = f"tag:arch{client.number},tag:!ipxe"
        place = f"{url}/boot/loader" if client.by_http else f"tftp://[{segment.ip}]"
        told.append(f"dhcp-option={of},option6:bootfile-url,{place}/{loader}")
        if client.by_http:
            told.append(f"dhcp-option-force={of},option6:16,{_HTTP_CLIENT}")
    return "\n".join(told) + "\n"
