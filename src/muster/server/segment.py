# SPDX-License-Identifier: Apache-2.0
"""Looks at the network interface that machines boot on, and for other DHCP servers there."""

import ipaddress
import json
import subprocess
from typing import Any
from urllib.parse import urlsplit

from muster.boot import dhcp, dhcp6, discover
from muster.boot.arch import UefiLoader
from muster.boot.dhcp import BadPool, Segment, check_pool
from muster.boot.dhcp6 import Segment6
from muster.boot.discover import Offer
from muster.boot.snippets import Here
from muster.server.settings import BadSettings, Settings


def find(settings: Settings) -> Segment:
    """The segment of the settings' interface; raises BadSettings with the remedy."""
    name = settings.interface
    usable = [told for told in _addresses(name) if told["family"] == "inet"]
    if not usable:
        raise BadSettings(
            f"interface {name!r} has no IPv4 address: ip addr add ADDRESS/PREFIX dev {name}"
        )
    try:
        segment = Segment(
            interface=name,
            address=f"{usable[0]['local']}/{usable[0]['prefixlen']}",
            pool=settings.dhcp_pool,
            router=settings.dhcp_router,
            dns=tuple(address for address in settings.dhcp_dns if ":" not in address),
            remote=tuple(map(dhcp.remote, settings.dhcp_remote)),
            reserved=tuple(map(dhcp.reservation, settings.dhcp_reserved)),
        )
        check_pool(segment)
        dhcp.check_places(segment)
    except BadPool as error:
        raise BadSettings(str(error)) from error
    return segment


def both(settings: Settings) -> tuple[Segment | None, Segment6 | None]:
    """The segment by IPv4 and by IPv6; it may be of IPv6 alone. Raises BadSettings."""
    six = find6(settings) if settings.dhcp6 != "none" else None
    alone = six is not None and settings.dhcp == "none"
    return find(settings) if settings.interface and not alone else None, six


def find6(settings: Settings) -> Segment6:
    """The segment by IPv6; raises BadSettings with the remedy."""
    name = settings.interface
    if not name:
        raise BadSettings("dhcp6=own needs an interface: --interface NAME")
    told = [one for one in _addresses(name) if one["family"] == "inet6"]
    # Addresses that the kernel made by itself change, and machines keep ours for an hour.
    lasting = [
        one for one in told
        if one["scope"] == "global" and not one.get("temporary") and not one.get("deprecated")
    ]  # fmt: skip
    if not lasting:
        raise BadSettings(
            f"interface {name!r} has no IPv6 address: ip -6 addr add ADDRESS/64 dev {name}"
        )
    segment = Segment6(
        name, f"{lasting[0]['local']}/{lasting[0]['prefixlen']}", settings.dhcp6_pool,
        tuple(address for address in settings.dhcp_dns if ":" in address),
    )  # fmt: skip
    try:
        dhcp6.check_pool(segment)
    except BadPool as error:
        raise BadSettings(str(error)) from error
    return segment


def _addresses(name: str) -> list[dict[str, Any]]:
    """An interface's addresses, as `ip -j addr` has them; raises BadSettings when it is missing."""
    shown = subprocess.run(
        ["ip", "-j", "addr", "show"], capture_output=True, text=True, check=False, timeout=10
    )
    links: dict[str, list[dict[str, Any]]] = {
        link["ifname"]: link["addr_info"] for link in json.loads(shown.stdout or "[]") if link
    }
    if name not in links:
        there = ", ".join(sorted(one for one in links if one != "lo")) or "none"
        raise BadSettings(f"interface {name!r} is missing; this machine has: {there}")
    return links[name]


def here(settings: Settings) -> Here:
    """This server as machines reach it; raises BadSettings when no address is known."""
    url = settings.url.rstrip("/")
    uefi: UefiLoader = settings.uefi_loader  # type: ignore[assignment]
    if settings.interface:
        address = find(settings).ip
        port = settings.listen.rpartition(":")[2]
        return Here(tftp=address, url=url or f"http://{address}:{port}", uefi=uefi)
    try:
        return Here(
            tftp=str(ipaddress.IPv4Address(urlsplit(url).hostname or "")), url=url, uefi=uefi
        )
    except ValueError as error:
        raise BadSettings(
            "machines' way here is not known: give --interface NAME, or --url http://ADDRESS:PORT"
            " with an IPv4 address"
        ) from error


def other_servers(interface: str) -> list[Offer]:
    """DHCP servers on other hosts that answer here, those that give addresses first.

    Takes two seconds and a half; needs root. Raises OSError.
    """
    return sorted(discover.servers(interface), key=lambda offer: not offer.address)
