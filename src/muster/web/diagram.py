# SPDX-License-Identifier: Apache-2.0
"""The block diagram of a machine, drawn from its document: boxes and lines for an SVG template.

Sockets and NUMA nodes, DIMM slots filled and empty, PCIe devices below their ports with the
width of each link, disks, and NIC ports with link and neighbour. Units are SVG's, 1000 wide.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from muster.web.page import disk_size, size
from muster.wire.hardware import Disk, Socket
from muster.wire.networks import Card, Port
from muster.wire.peripherals import PcieFunction
from muster.wire.resources import Document
from muster.wire.slots import Dimm

WIDTH = 1000
GAP = 10
LINE = 17
MOST = 256
"""Boxes of one kind; a machine with more is told by numbers."""


@dataclass(frozen=True)
class Box:
    """One box. `kind` is its class in the style sheet, `title` is read aloud and shown on hover."""

    x: float
    y: float
    w: float
    h: float
    kind: str
    lines: list[str]
    title: str


@dataclass
class Drawing:
    """All boxes from top to bottom, section headings, and how high it has become."""

    boxes: list[Box] = field(default_factory=list)
    headings: list[tuple[float, str]] = field(default_factory=list)
    height: float = 0
    trouble: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.height += 26
        self.headings.append((self.height - 8, text))

    def row(self, cells: list[tuple[str, list[str], str]], *, columns: int) -> None:
        """Boxes of equal width side by side, as many rows as it takes: (kind, lines, title)."""
        w = (WIDTH - GAP * (columns - 1)) / columns
        for start in range(0, min(len(cells), MOST), columns):
            part = cells[start : start + columns]
            h = 12 + LINE * max(len(lines) for _, lines, _ in part)
            for index, (kind, lines, title) in enumerate(part):
                cut = [_cut(line, w) for line in lines]
                self.boxes.append(Box(index * (w + GAP), self.height, w, h, kind, cut, title))
            self.height += h + GAP
        if len(cells) > MOST:
            self.height += LINE
            self.headings.append((self.height - 4, f"and {len(cells) - MOST} more"))


def draw(document: Document, neighbours: Mapping[str, Any]) -> Drawing:
    """The diagram; `neighbours` are LLDP findings by interface."""
    drawing = Drawing()
    _processors(drawing, document)
    _dimms(drawing, document)
    _pcie(drawing, document)
    _disks(drawing, document)
    _nics(drawing, document, neighbours)
    return drawing


def _processors(drawing: Drawing, document: Document) -> None:
    sockets = document.resources.cpu.sockets
    drawing.heading("Sockets and NUMA nodes")
    cells = [_socket(document, socket) for socket in sockets]
    extra = document.extra
    populated = len(sockets)
    for slot in extra.processors.slots if extra else []:
        if not slot.populated:
            cells.append(("empty", [slot.slot or "socket", "empty"], f"{slot.slot}: empty socket"))
            populated += 1
    drawing.row(cells, columns=max(1, min(4, populated)))


def _socket(document: Document, socket: Socket) -> tuple[str, list[str], str]:
    threads = [thread for core in socket.cores for thread in core.threads]
    nodes = sorted({thread.numa_node for thread in threads})
    memory = {node.numa_node: node.total for node in document.resources.memory.nodes}
    lines = [socket.name or "processor", f"{len(socket.cores)} cores, {len(threads)} threads"]
    for node in nodes:
        own = sum(1 for thread in threads if thread.numa_node == node)
        held = f", {size(memory[node])}" if node in memory else ""
        lines.append(f"NUMA {node}: {own} threads{held}")
    return "socket", lines, f"socket {socket.socket}: {'; '.join(lines)}"


def _dimms(drawing: Drawing, document: Document) -> None:
    slots = document.extra.dimms.slots if document.extra else []
    if not slots:
        drawing.heading(f"Memory: {size(document.resources.memory.total)}, slots not told")
        return
    filled = sum(1 for slot in slots if slot.size != 0)
    drawing.heading(f"Memory: {filled} of {len(slots)} slots filled")
    drawing.row([_dimm(slot) for slot in slots], columns=min(12, max(4, len(slots) // 2 or 1)))


def _dimm(slot: Dimm) -> tuple[str, list[str], str]:
    if slot.size == 0:
        return "empty", [slot.slot or "slot", "empty"], f"{slot.slot}: empty slot"
    speed = f" {slot.configured_speed}" if slot.configured_speed else ""
    told = [
        slot.slot or "slot",
        size(slot.size) if slot.size else "size not told",
        f"{slot.type}{speed}".strip(),
    ]
    more = " ".join(part for part in (slot.manufacturer, slot.part, slot.serial) if part)
    return "dimm", told, f"{' '.join(told)} {more}".strip()


def _pcie(drawing: Drawing, document: Document) -> None:
    functions = document.extra.pcie.functions if document.extra else []
    if not functions:
        return
    names = {d.pci_address: f"{d.vendor} {d.product}".strip()
             for d in document.resources.pci.devices}  # fmt: skip
    drawing.heading("PCIe: what hangs below which port, and the width of its link")
    for depth, function in list(_tree(functions))[:MOST]:
        kind, lines, title = _function(function, names.get(function.pci_address, ""))
        if kind == "bad":
            drawing.trouble.append(title)
        x = min(depth, 8) * 28
        box = Box(
            x, drawing.height, WIDTH - x, 22, kind, [_cut("  ".join(lines), WIDTH - x)], title
        )
        drawing.boxes.append(box)
        drawing.height += 25


def _tree(functions: list[PcieFunction]) -> Iterator[tuple[int, PcieFunction]]:
    """Depth first; a port that is not listed makes its devices roots."""
    known = {function.pci_address: function for function in functions}
    below: dict[str, list[PcieFunction]] = {}
    for function in functions:
        parent = function.port if function.port in known else ""
        below.setdefault(parent if parent != function.pci_address else "", []).append(function)
    stack = [(0, function) for function in reversed(below.get("", []))]
    seen: set[str] = set()
    while stack:
        depth, function = stack.pop()
        if function.pci_address in seen:
            continue
        seen.add(function.pci_address)
        yield depth, function
        own = below.get(function.pci_address, [])
        stack += [(depth + 1, child) for child in reversed(own)]


def _function(function: PcieFunction, name: str) -> tuple[str, list[str], str]:
    link = function.link
    told = f"x{link.width} {link.speed:g} GT/s" if link and link.width else ""
    lines = [function.pci_address, name or f"class {function.class_id}", told]
    errors = function.errors_nonfatal + function.errors_fatal
    if function.degraded:
        lines.append(f"degraded: {function.degraded}")
    if errors:
        lines.append(f"{errors} uncorrected errors")
    kind = "bad" if function.degraded or errors else "pci"
    return kind, [line for line in lines if line], " ".join(lines)


def _disks(drawing: Drawing, document: Document) -> None:
    disks = [disk for disk in document.resources.storage.disks if disk.type != "cdrom"]
    drawing.heading(f"Disks: {len(disks)}")
    health = {one.disk: one for one in document.extra.disk_health.disks} if document.extra else {}
    drawing.row([_disk(disk, health.get(disk.id)) for disk in disks], columns=4)


def _disk(disk: Disk, health: Any) -> tuple[str, list[str], str]:
    turns = "turns" if disk.rpm or disk.rotational else disk.type
    lines = [disk.id, f"{disk_size(disk.size)} {turns}".strip(), disk.model or "model not told"]
    bad = health is not None and (health.passed is False or bool(health.warnings))
    if bad:
        lines.append("SMART: " + (", ".join(health.warnings) or "failed"))
    return "bad" if bad else "disk", lines, " ".join([*lines, disk.serial])


def _nics(drawing: Drawing, document: Document, neighbours: Mapping[str, Any]) -> None:
    ports = [(card, port) for card in document.resources.network.cards for port in card.ports]
    drawing.heading(f"Network ports: {len(ports)}")
    cells = [_port(card, port, neighbours.get(port.id)) for card, port in ports]
    drawing.row(cells, columns=4)


def _port(card: Card, port: Port, neighbour: Any) -> tuple[str, list[str], str]:
    speed = f" {port.link_speed / 1000:g} Gbit/s" if port.link_speed else ""
    link = f"link{speed}" if port.link_detected else "no link"
    lines = [port.id, port.address, link]
    if neighbour:
        lines.append(f"→ {neighbour.get('switch', '')} {neighbour.get('port', '')}".strip())
    title = " ".join([*lines, card.vendor, card.product]).strip()
    return "nic" if port.link_detected else "off", [line for line in lines if line], title


def _cut(text: str, width: float) -> str:
    """What fits, at 7 units a letter."""
    most = max(4, int((width - 12) / 7))
    return text if len(text) <= most else f"{text[: most - 1]}…"
