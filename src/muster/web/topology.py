# SPDX-License-Identifier: Apache-2.0
"""Who is plugged into what: switches and machines, from what LLDP told, beside the manifest."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import Parameter

from muster.lifecycle import placement
from muster.machine.cabling import Cabled, neighbour, switch_key
from muster.machine.manifest import Row
from muster.machine.placing import Finding, Manifest
from muster.store import findings, machines
from muster.store.engine import Store
from muster.web.graph import Cable, Switch, elements
from muster.web.page import page
from muster.web.session import AnyRequest, Looking

MOST = 2000
"""Machines in one picture."""


@get("/topology", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    looking: Looking,
    rack: Annotated[str, Parameter(max_length=256)] = "",
) -> Response[Any]:
    """The picture, and the same as a table; of one rack's machines where it is asked for."""
    with store.read() as tx:
        told = findings.of_all(tx, "lldp", limit=MOST)
        whole = placement.whole(tx, strangers=list(told))
        names = machines.names(tx, list(told))
    found = [whole.finding(row) for row in whole.rows if rack in ("", row.rack)][:MOST]
    if rack:
        here = {one.machine.id for one in found if one.machine}
        told = {machine: body for machine, body in told.items() if machine in here}
    ordered = _switches(told, names, whole, found)
    cables = [cable for switch in ordered for cable in switch.cables]
    counts = {word: sum(cable.status == word for cable in cables)
              for word in ("wrong", "unknown", "right")}  # fmt: skip
    return page(
        request, "topology.html", looking, switches=ordered, elements=elements(ordered), rack=rack,
        counts=counts if whole.rows else {}, silent=len(cables) - sum(counts.values()),
    )  # fmt: skip


def _switches(
    told: Mapping[str, Any], names: Mapping[str, str], whole: Manifest, found: list[Finding]
) -> list[Switch]:
    switches: dict[str, Switch] = {}
    called: dict[str, str] = {}
    placed = {one.machine.id: one for one in found if one.machine}
    strangers = {one.id: whole.stranger(one) for one in whole.unexpected if one.id in told}
    if not whole.rows:
        strangers = {}
    for machine, body in told.items():
        for one in body if isinstance(body, list) else []:
            key = one.get("chassis_id") or one.get("switch") or "unknown"
            about = str(one.get("description", ""))
            switch = switches.setdefault(key, Switch(one.get("switch") or key, about))
            called |= dict.fromkeys(neighbour(one).switches, key)
            switch.cables.append(
                _seen(one, machine, names.get(machine, machine), placed, strangers)
            )
    for finding in found:
        for cabled, cable in _not_seen(finding):
            key = called.setdefault(switch_key(cabled.switch), cabled.switch)
            about = "by the manifest; nobody has heard it"
            switches.setdefault(key, Switch(cabled.switch, about)).cables.append(cable)
    for switch in switches.values():
        switch.cables.sort(key=lambda cable: (len(cable.port), cable.port, cable.machine))
    return sorted(switches.values(), key=lambda switch: switch.name)


def _seen(
    heard: Mapping[str, Any], machine: str, name: str, placed: Mapping[str, Finding],
    strangers: Mapping[str, str],
) -> Cable:  # fmt: skip
    interface = str(heard.get("interface", ""))
    status, told, where = "", strangers.get(machine, ""), ""
    if finding := placed.get(machine):
        where = place(finding.row)
        status, told = verdict(interface, finding.cables)
    port = neighbour(heard).port
    return Cable(name, machine, where, interface, port, heard.get("vlan"), status, told)


def verdict(interface: str, cables: tuple[Cabled, ...]) -> tuple[str, str]:
    """What the manifest says of what was heard on an interface: the word, and why."""
    here = [cable for cable in cables if interface and cable.seen_nic == interface]
    if not here:
        return "", "the manifest does not name it" if cables else ""
    for cable in here:
        if cable.status != "right":
            return cable.status, f"the manifest says {should(cable)}"
    return "right", ""


def should(cable: Cabled) -> str:
    """A cable as the manifest has it."""
    return f"{cable.nic + ' to ' if cable.nic else ''}{cable.switch} {cable.port}".strip()


def _not_seen(finding: Finding) -> Iterator[tuple[Cabled, Cable]]:
    """The cables of a row that no machine has told of."""
    row, machine = finding.row, finding.machine
    for cable in finding.cables:
        if not cable.seen_nic and machine:
            told = "no link" if cable.status == "wrong" else "no LLDP was heard there"
            yield cable, Cable(machine.name, machine.id, place(row), cable.nic, cable.port, None,
                               cable.status, told, seen=False)  # fmt: skip
    for one in row.cables if machine is None else ():
        wants = Cabled(one.nic, one.switch, one.port, "", "", "", "unknown")
        yield wants, Cable(row.key, "", place(row), one.nic, one.port, None, "unknown",
                           "the machine has not come yet", seen=False)  # fmt: skip


def place(row: Row) -> str:
    """Rack and units, as people say them."""
    if row.position is None:
        return row.rack
    top = row.position + row.height - 1
    return f"{row.rack} U{row.position}" + (f"–{top}" if row.height > 1 else "")


ROUTES = [show]
