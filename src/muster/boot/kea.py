# SPDX-License-Identifier: Apache-2.0
"""Kea as the DHCP server of a large site: the whole configuration of one of a pair.

One of the two answers (hot standby), the other knows every lease and takes over when it is silent.
They speak to each other themselves, without Kea's control agent (its manual, 2.2, 16.16.10).
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from muster.boot.dhcp import Remote, Segment
from muster.boot.snippets import Here, kea_members

HOOKS = Path("/usr/lib/x86_64-linux-gnu/kea/hooks")
PORT = 8001
SILENT_MS = 10_000
"""Firmware repeats its DISCOVER for a minute (PXE 2.1, 2.2.3): the other answers well before."""


class NoPair(ValueError):
    """Says what to change."""


@dataclass(frozen=True)
class Pair:
    """Addresses of the one that answers and the one that stands by; `this` is one of them."""

    primary: str
    standby: str
    this: str
    hooks: Path = HOOKS

    def check(self) -> None:
        """Raise NoPair."""
        for address in (self.primary, self.standby, self.this):
            try:
                ipaddress.IPv4Address(address)
            except ValueError as error:
                raise NoPair(f"{error}; give the IPv4 addresses of both servers") from error
        if self.primary == self.standby or self.this not in (self.primary, self.standby):
            raise NoPair("--primary and --standby are two servers, and --this is one of them")


def configuration(segment: Segment, here: Here, pair: Pair) -> str:
    """kea-dhcp4.conf of `pair.this`; raises NoPair. `segment` as our own DHCP would be told it."""
    pair.check()
    first, last = segment.range()
    places = [Remote(first, last, segment.network, segment.router), *segment.remote]
    body = {
        "interfaces-config": {"interfaces": [segment.interface]},
        "multi-threading": {"enable-multi-threading": True},
        "lease-database": {"type": "memfile", "lfc-interval": 3600},
        "valid-lifetime": 3600,
        "authoritative": True,
        # Firmware, iPXE and the initrd name themselves otherwise: an address goes with the MAC.
        "match-client-id": False,
        **_members(segment, here),
        "subnet4": [_subnet(number, place, segment) for number, place in enumerate(places, 1)],
        "hooks-libraries": [
            {"library": f"{pair.hooks}/libdhcp_lease_cmds.so"},
            {"library": f"{pair.hooks}/libdhcp_ha.so", "parameters": _parameters(pair)},
        ],
        "loggers": [
            {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "syslog"}]}
        ],
    }
    return json.dumps({"Dhcp4": body}, indent=2) + "\n"


def _members(segment: Segment, here: Here) -> dict[str, Any]:
    """Machines behind a relay of ours are known by its address, and sent to it."""
    classes, elsewhere = [], []
    for place in segment.remote:
        if not place.relay:
            continue
        address = urlsplit(place.relay).hostname or ""
        there = Here(address, place.relay, here.uefi)
        at = f"pkt4.giaddr == {address}"
        classes += kea_members(there, where=at, suffix=f"-{address}")["client-classes"]
        elsewhere.append(f"not ({at})")
    members = kea_members(here, where=" and ".join(elsewhere))
    return {**members, "client-classes": members["client-classes"] + classes}


def _subnet(number: int, place: Remote, segment: Segment) -> dict[str, Any]:
    options = []
    if place.router:
        options.append({"name": "routers", "data": place.router})
    if segment.dns:
        options.append({"name": "domain-name-servers", "data": ", ".join(segment.dns)})
    return {
        "id": number,
        "subnet": str(place.network),
        "pools": [{"pool": f"{place.first} - {place.last}"}],
        "option-data": options,
        "reservations": [
            {"hw-address": mac, "ip-address": address}
            for mac, address in segment.reserved
            if ipaddress.IPv4Address(address) in place.network
        ],
    }


def _parameters(pair: Pair) -> dict[str, Any]:
    peers = [(pair.primary, "primary"), (pair.standby, "standby")]
    told = {
        "this-server-name": pair.this,
        "mode": "hot-standby",
        "heartbeat-delay": 2000,
        "max-response-delay": SILENT_MS,
        # Not to wait until machines were unanswered for long: a silent server is a dead one here.
        "max-unacked-clients": 0,
        "multi-threading": {"enable-multi-threading": True, "http-dedicated-listener": True},
        "peers": [
            {"name": address, "url": f"http://{address}:{PORT}/", "role": role}
            for address, role in peers
        ],
    }
    return {"high-availability": [told]}
