# SPDX-License-Identifier: Apache-2.0
"""The picture of switches and machines: where each stands, as cytoscape takes it."""

from dataclasses import dataclass, field
from typing import Any

ACROSS = 8
"""Machines beside each other below their switches."""
STEP_X, STEP_Y, ABOVE = 150, 90, 170
"""Between two machines, two lines of them, and from the switches to the first line."""

Who = tuple[str, str]


@dataclass(frozen=True)
class Cable:
    """One link: a machine's interface and the port of its neighbour.

    `status` is right, wrong or unknown by the manifest, "" where it says nothing; `told` says why.
    `seen` is False for a cable of the manifest that nobody has heard; `machine_id` is "" for a
    machine that has not come yet.
    """

    machine: str
    machine_id: str
    place: str
    interface: str
    port: str
    vlan: int | None
    status: str = ""
    told: str = ""
    seen: bool = True

    @property
    def who(self) -> Who:
        """The machine's end."""
        return self.machine_id, self.machine


@dataclass
class Switch:
    """A neighbour with its cables, by port."""

    name: str
    description: str
    cables: list[Cable] = field(default_factory=list)


@dataclass
class _Places:
    """Where everything stands: switches by number, machines by who they are."""

    switches: dict[int, float] = field(default_factory=dict)
    machines: dict[Who, tuple[float, float]] = field(default_factory=dict)


def elements(switches: list[Switch]) -> list[dict[str, Any]]:
    """Nodes and edges; numbered, as names may hold anything.

    Switches stand in a row, the machines that hang on the same ones in lines below them.
    """
    places = _placed(switches)
    about = {cable.who: cable for switch in switches for cable in switch.cables}
    numbers = {who: f"m{number}" for number, who in enumerate(places.machines)}
    found = [_machine(about[who], numbers[who], x, y) for who, (x, y) in places.machines.items()]
    for number, switch in enumerate(switches):
        data = {"id": f"s{number}", "label": switch.name, "kind": "switch"}
        found.append({"data": data, "position": {"x": places.switches.get(number, 0), "y": 0}})
        found += [_edge(f"e{number}-{index}", f"s{number}", numbers[cable.who], cable)
                  for index, cable in enumerate(switch.cables)]  # fmt: skip
    return found


def _machine(cable: Cable, number: str, x: float, y: float) -> dict[str, Any]:
    there = f"/machines/{cable.machine_id}" if cable.machine_id else ""
    data = {"id": number, "label": cable.machine, "href": there,
            "kind": "machine" if cable.machine_id else "missing"}  # fmt: skip
    return {"data": data, "position": {"x": x, "y": y}}


def _edge(name: str, switch: str, machine: str, cable: Cable) -> dict[str, Any]:
    data = {"id": name, "source": switch, "target": machine, "label": cable.port,
            "status": cable.status or "silent", "seen": "yes" if cable.seen else "no"}  # fmt: skip
    return {"data": data}


def _placed(switches: list[Switch]) -> _Places:
    hung: dict[Who, list[int]] = {}
    for number, switch in enumerate(switches):
        for cable in switch.cables:
            on = hung.setdefault(cable.who, [])
            on += [number] if number not in on else []
    groups: dict[tuple[int, ...], list[Who]] = {}
    for who, on in hung.items():
        groups.setdefault(tuple(on), []).append(who)
    places = _Places()
    left = 0.0
    for on_these, members in sorted(groups.items()):
        members.sort(key=lambda who: who[1])
        fresh = [one for one in on_these if one not in places.switches]
        width = max(min(len(members), ACROSS), len(fresh)) * STEP_X
        middle = left + width / 2
        for index, one in enumerate(fresh):
            places.switches[one] = middle + (index - (len(fresh) - 1) / 2) * STEP_X
        _lines(places, members, middle)
        left += width + STEP_X / 2
    return places


def _lines(places: _Places, members: list[Who], middle: float) -> None:
    for start in range(0, len(members), ACROSS):
        line, some = start // ACROSS, members[start : start + ACROSS]
        # Every second line stands between the machines of the one above: cables pass there.
        aside = middle + (line % 2) * STEP_X / 2
        for index, who in enumerate(some):
            x = aside + (index - (len(some) - 1) / 2) * STEP_X
            places.machines[who] = (x, ABOVE + line * STEP_Y)
