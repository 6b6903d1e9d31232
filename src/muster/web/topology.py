# SPDX-License-Identifier: Apache-2.0
"""Who is plugged into what: switches and machines, from what LLDP told."""

from dataclasses import dataclass, field
from typing import Any

from litestar import Response, get

from muster.store import findings, machines
from muster.store.engine import Store
from muster.web.page import page
from muster.web.session import AnyRequest, Looking

MOST = 2000
"""Machines in one picture."""


@dataclass(frozen=True)
class Cable:
    """One link: a machine's interface and the port of its neighbour."""

    machine: str
    machine_id: str
    interface: str
    port: str
    vlan: int | None


@dataclass
class Switch:
    """A neighbour with its cables, by port."""

    name: str
    description: str
    cables: list[Cable] = field(default_factory=list)


@get("/topology", sync_to_thread=True)
def show(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """The picture, and the same as a table."""
    with store.read() as tx:
        told = findings.of_all(tx, "lldp", limit=MOST)
        names = machines.names(tx, list(told))
    switches: dict[str, Switch] = {}
    for machine, body in told.items():
        for one in body if isinstance(body, list) else []:
            key = one.get("chassis_id") or one.get("switch") or "unknown"
            about = str(one.get("description", ""))
            switch = switches.setdefault(key, Switch(one.get("switch") or key, about))
            switch.cables.append(
                Cable(names.get(machine, machine), machine, str(one.get("interface", "")),
                      str(one.get("port", "")), one.get("vlan"))
            )  # fmt: skip
    ordered = sorted(switches.values(), key=lambda switch: switch.name)
    for switch in ordered:
        switch.cables.sort(key=lambda cable: (len(cable.port), cable.port))
    return page(request, "topology.html", looking, switches=ordered, elements=_elements(ordered))


def _elements(switches: list[Switch]) -> list[dict[str, Any]]:
    """Nodes and edges as cytoscape takes them; numbered, as names may hold anything."""
    found: list[dict[str, Any]] = []
    numbers: dict[str, str] = {}
    for number, switch in enumerate(switches):
        found.append({"data": {"id": f"s{number}", "label": switch.name, "kind": "switch"}})
        for cable in switch.cables:
            if cable.machine_id not in numbers:
                numbers[cable.machine_id] = f"m{len(numbers)}"
                node = {"id": numbers[cable.machine_id], "label": cable.machine, "kind": "machine",
                        "href": f"/machines/{cable.machine_id}"}  # fmt: skip
                found.append({"data": node})
            edge = {"id": f"e{len(found)}", "source": f"s{number}",
                    "target": numbers[cable.machine_id], "label": cable.port}  # fmt: skip
            found.append({"data": edge})
    return found


ROUTES = [show]
