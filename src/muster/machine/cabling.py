# SPDX-License-Identifier: Apache-2.0
"""How a machine is cabled: what the manifest says beside what LLDP heard."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from muster.machine.facts import line
from muster.machine.manifest import Cable


@dataclass(frozen=True)
class Neighbour:
    """Who was heard on a NIC; `switches` and `ports` are all that it is called, in normal form."""

    nic: str
    switch: str
    port: str
    switches: frozenset[str]
    ports: frozenset[str]

    def at(self, cable: Cable) -> bool:
        """Whether the cable leads there, by whatever name people write."""
        return switch_key(cable.switch) in self.switches and (
            not cable.port or port_key(cable.port) in self.ports
        )

    @property
    def told(self) -> str:
        """Switch and port."""
        return f"{self.switch} {self.port}".strip()


@dataclass(frozen=True)
class Cabled:
    """One cable: as it should be, as it is, and right, wrong or unknown."""

    nic: str
    switch: str
    port: str
    seen_nic: str
    seen_switch: str
    seen_port: str
    status: str


@dataclass(frozen=True)
class Wired:
    """A machine's side: `macs` has NICs' names by MAC, `links` who has a link."""

    neighbours: tuple[Neighbour, ...] = ()
    listened: bool = False
    macs: Mapping[str, str] | None = None
    links: Mapping[str, bool] | None = None

    def nic(self, called: str) -> str:
        """The NIC's name, where the manifest has its MAC."""
        return (self.macs or {}).get(called) or called


def neighbour(heard: Mapping[str, Any]) -> Neighbour:
    """From an entry of the finding `lldp`."""
    named = [heard.get("switch"), heard.get("chassis_id"), *(heard.get("management") or ())]
    ports = [heard.get("port_id"), heard.get("port")]
    texts = [line(text) for text in named if isinstance(text, str) and text]
    at = [line(text) for text in ports if isinstance(text, str) and text]
    switches = {switch_key(text) for text in texts} | {text.casefold() for text in texts}
    return Neighbour(
        line(str(heard.get("interface", ""))),
        next(iter(texts), ""),
        # lldpd gives a port's MAC as its id where the switch sends no name.
        next((text for text in at if not re.fullmatch(r"(..:){5}..", text)), next(iter(at), "")),
        frozenset(switches),
        frozenset(map(port_key, at)),
    )


_SHORT = {
    "ethernet": "eth", "et": "eth", "e": "eth", "gigabitethernet": "gi", "gige": "gi",
    "tengigabitethernet": "te", "tengige": "te", "fastethernet": "fa", "twentyfivegige": "twe",
    "hundredgige": "hu", "hundredgigabitethernet": "hu", "fortygige": "fo", "swp": "swp",
}  # fmt: skip


def switch_key(text: str) -> str:
    """A switch's name without its domain, unless it is an address or a MAC."""
    folded = text.strip().casefold()
    if re.fullmatch(r"[\d.]+", folded) or ":" in folded:
        return folded
    return folded.partition(".")[0]


def port_key(text: str) -> str:
    """Ethernet1/5 and Eth1/5 are one port, GigabitEthernet1/0/5 and Gi1/0/5 too."""
    folded = re.sub(r"\s+", "", text.casefold())
    word, rest = re.fullmatch(r"([a-z]*)-?(.*)", folded, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{_SHORT.get(word, word)}{rest}"


def checked(
    cables: Iterable[Cable], wired: Wired
) -> tuple[list[Cabled], list[str], list[str]]:  # fmt: skip
    """Each cable with what is there; sentences of what is wrong, and of what is not known."""
    there: list[Cabled] = []
    wrong: list[str] = []
    unknown: list[str] = []
    cables = list(cables)
    pairs = [(cable, _seen(cable, cables, wired)) for cable in cables]
    swapped = dict(_swapped(pairs))
    for cable, seen in pairs:
        nic, should = wired.nic(cable.nic), f"{cable.switch} {cable.port}".strip()
        status = "right" if seen and _right(cable, seen, wired) else "wrong" if seen else "unknown"
        if not wired.listened:
            status = "unknown"
        elif seen is None and nic and (wired.links or {}).get(nic) is False:
            status = "wrong"
            wrong.append(f"{nic} has no link, the manifest says {should}")
        elif seen is None:
            unknown.append(f"{nic or 'no NIC'} heard no LLDP, the manifest says {should}"
                           if nic else f"no NIC heard {should} by LLDP")  # fmt: skip
        elif status == "wrong":
            told = swapped.get(cable) or f"{seen.nic} is on {seen.told}, the manifest says {should}"
            if nic and nic != seen.nic:
                told = swapped.get(cable) or f"{should} is on {seen.nic}, the manifest says {nic}"
            wrong += [told] if told not in wrong else []
        words = (seen.nic, seen.switch, seen.port) if seen else ("", "", "")
        there.append(Cabled(cable.nic, cable.switch, cable.port, *words, status))
    if cables and not wired.listened:
        unknown.append("its cabling is not known: it has not listened for LLDP yet")
    return there, wrong, unknown


def _right(cable: Cable, seen: Neighbour, wired: Wired) -> bool:
    return seen.at(cable) and (not cable.nic or wired.nic(cable.nic) == seen.nic)


def _seen(cable: Cable, cables: list[Cable], wired: Wired) -> Neighbour | None:
    """What this cable is, as near as can be told."""
    nic = wired.nic(cable.nic)
    here = [n for n in wired.neighbours if n.nic == nic] if nic else list(wired.neighbours)
    for found in here:
        if found.at(cable):
            return found
    if nic:
        elsewhere = [n for n in wired.neighbours if n.at(cable)]
        return next(iter(here), next(iter(elsewhere), None))
    free = [n for n in here if not any(n.at(other) for other in cables if other != cable)]
    same = [n for n in free if switch_key(cable.switch) in n.switches]
    return next(iter(same), next(iter(free), None))


def _swapped(pairs: list[tuple[Cable, Neighbour | None]]) -> Iterator[tuple[Cable, str]]:
    """Two cables of which each is where the other should be."""
    for number, (one, here) in enumerate(pairs):
        for other, there in pairs[number + 1 :]:
            crossed = here and there and here.at(other) and there.at(one)
            if crossed and here and there and not here.at(one) and not there.at(other):
                told = f"the cables of {here.nic} and {there.nic} are swapped"
                yield one, f"{told}: {here.nic} is on {here.told}, {there.nic} on {there.told}"
                yield other, f"{told}: {here.nic} is on {here.told}, {there.nic} on {there.told}"
