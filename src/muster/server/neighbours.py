# SPDX-License-Identifier: Apache-2.0
"""Watches for DHCP servers that should not be on the segment: each is an event that names it."""

from pathlib import Path

import structlog

from muster.boot import vlans
from muster.boot.dhcp import Mode
from muster.boot.discover import Offer
from muster.lifecycle import timeline
from muster.server import segment
from muster.server.app import Clock
from muster.store.engine import Store

log = structlog.get_logger("muster")

PERIOD_S = 60.0
STRAYS_S = 1.0


def at_start(interface: str) -> str:
    """Who gives addresses here, in words; "" when nobody does or nobody may be asked."""
    try:
        others = segment.other_servers(interface)
    except OSError as error:
        log.warning("cannot look for other DHCP servers", interface=interface, why=str(error))
        return ""
    return " and ".join(offer.named for offer in others if offer.address)


class Watch:
    """Remembers who was there at the last look, so that each is told once when it comes."""

    def __init__(self, store: Store, interface: str, mode: Mode, clock: Clock) -> None:
        self._store = store
        self._interface = interface
        self._mode = mode
        self._clock = clock
        self._known: set[str] = set()

    def look(self) -> None:
        """Ask once and write down what changed; raises OSError where asking is not allowed."""
        rogues = self.rogues(segment.other_servers(self._interface))
        for name in sorted(set(rogues) - self._known):
            self._tell(f"another DHCP server on {self._interface}: {name}: {rogues[name]}")
        for name in sorted(self._known - set(rogues)):
            self._tell(f"the other DHCP server on {self._interface} is silent now: {name}")
        self._known = set(rogues)

    def rogues(self, heard: list[Offer]) -> dict[str, str]:
        """Servers that are one too many, by name, with what each of them tells machines."""
        # Beside a site's own server one is expected; of two nobody but the site knows which.
        expected = 0 if self._mode == "own" else 1
        return {offer.named: _told(offer) for offer in heard} if len(heard) > expected else {}

    def _tell(self, message: str) -> None:
        log.warning(message)
        timeline.segment_changed(self._store, self._clock(), message)


class OtherVlans:
    """Machines that ask on a VLAN where nobody of ours hears them: each is on its timeline."""

    def __init__(self, store: Store, interface: str, clock: Clock) -> None:
        self._store = store
        self._interface = interface
        self._clock = clock
        self._wire = vlans.listen(interface)

    def look(self) -> None:
        """Write down who asked since the last look; raises OSError when the interface is gone."""
        strays = vlans.heard(self._wire)
        strays = {one for one in strays if one.vlan not in _served(self._interface)}
        if not strays:
            return
        with self._store.write() as tx:
            for one in sorted(strays, key=lambda stray: stray.mac):
                told = _stray(self._interface, one.vlan)
                timeline.unserved(tx, self._clock(), mac=one.mac, detail=told)


def _served(interface: str) -> set[int]:
    """VLANs that this host has an interface in: whoever asks there is somebody else's."""
    try:
        lines = [line.split("|") for line in Path("/proc/net/vlan/config").read_text().splitlines()]
    except OSError:
        return set()
    return {int(line[1]) for line in lines if len(line) == 3 and line[2].strip() == interface}


def _stray(interface: str, vlan: int) -> str:
    own = f"{interface}.{vlan}"
    return (
        f"asked for an address with VLAN tag {vlan}, but {interface} hears what has no tag:"
        f" make {vlan} the native (untagged) VLAN of its switch port, take the VLAN out of its"
        " firmware's menu, or serve it there"
        f" (ip link add link {interface} name {own} type vlan id {vlan}; --interface {own})"
    )


def _told(offer: Offer) -> str:
    gives = f"offers {offer.address}" if offer.address else "offers no address (proxyDHCP)"
    sent = f" from {offer.next_server}" if offer.next_server else ""
    return f"{gives}, {f'boot file {offer.file}{sent}' if offer.file else 'no boot file'}"
