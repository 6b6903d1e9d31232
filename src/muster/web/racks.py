# SPDX-License-Identifier: Apache-2.0
"""Racks as they stand: units from top to bottom, what should be in them and what is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import Parameter

from muster.lifecycle import placement
from muster.machine.manifest import Row
from muster.machine.placing import Finding, Manifest
from muster.store import machines, manifest
from muster.store.engine import Missing, Store, Tx
from muster.web.page import page
from muster.web.session import AnyRequest, Looking
from muster.web.topology import place

DRAWN = 12
"""Racks of one page."""
STRANGERS = 100
USUAL = 42
"""Units of a rack of which nothing is known."""


@dataclass(frozen=True)
class Slot:
    """A row with its machine; `mark` is missing, mismatching or matching, `state` the record's."""

    finding: Finding
    state: str

    @property
    def mark(self) -> str:
        """As the style sheet calls it."""
        return self.finding.status

    @property
    def words(self) -> str:
        """The mark as people say it."""
        return {"missing": "has not come", "mismatching": "not as said"}.get(self.mark, "")


@dataclass(frozen=True)
class Unit:
    """One line: its number, and the machine whose highest unit it is; `inside` one from above."""

    number: int
    slot: Slot | None = None
    inside: bool = False


@dataclass(frozen=True)
class Rack:
    """An elevation; `loose` are rows that say no unit."""

    name: str
    units: list[Unit]
    loose: list[Slot]
    slots: list[Slot]

    def count(self, mark: str) -> int:
        """How many of its rows are so."""
        return sum(slot.mark == mark for slot in self.slots)


@get("/topology/racks", sync_to_thread=True)
def show(
    request: AnyRequest,
    store: Store,
    looking: Looking,
    rack: Annotated[str, Parameter(max_length=256)] = "",
    after: Annotated[str, Parameter(max_length=256)] = "",
) -> Response[Any]:
    """Some racks drawn, and beside them every rack by name where there are more."""
    with store.read() as tx:
        names = manifest.racks(tx)
        if rack and rack not in names:
            raise Missing(f"the manifest has no rack {rack!r}")
        start = names.index(after) + 1 if after in names else 0
        chosen = [rack] if rack else names[start : start + DRAWN]
        rows = {name: manifest.every(tx, name) for name in chosen}
        of = placement.around(tx, list(chain.from_iterable(rows.values())))
        drawn = [elevation(name, _slots(tx, of, rows[name])) for name in chosen]
    following = chosen[-1] if not rack and len(names) > start + DRAWN else ""
    return page(
        request, "racks.html", looking, racks=drawn, names=[n for n in names if n], rack=rack,
        following=following, place=place,
    )  # fmt: skip


@get("/topology/strangers", sync_to_thread=True)
def strangers(request: AnyRequest, store: Store, looking: Looking) -> Response[Any]:
    """Machines that no row is about, for the page of racks: all rows are held against all."""
    with store.read() as tx:
        found, more = placement.strangers(tx, "", STRANGERS)
    return page(request, "strangers.html", looking, strangers=found, more=bool(more))


def _slots(tx: Tx, of: Manifest, rows: Sequence[Row]) -> list[Slot]:
    found = [placement.finding(tx, of, row) for row in rows]
    ids = [one.machine.id for one in found if one.machine]
    states = {machine.id: str(machine.state) for machine in machines.of_ids(tx, ids)}
    return [Slot(one, states.get(one.machine.id, "") if one.machine else "") for one in found]


def elevation(name: str, slots: Sequence[Slot]) -> Rack:
    """From the highest unit to the lowest; as high as its machines say, and as racks mostly are."""
    tops = {top(slot): slot for slot in slots if slot.finding.row.position is not None}
    loose = [slot for slot in slots if slot.finding.row.position is None]
    units = list(_units(tops, max([USUAL, *tops]))) if tops else []
    return Rack(name, units, loose, list(slots))


def top(slot: Slot) -> int:
    """Its highest unit."""
    row = slot.finding.row
    return (row.position or 0) + row.height - 1


def _units(tops: dict[int, Slot], height: int) -> Iterator[Unit]:
    lowest = height + 1
    for number in range(height, 0, -1):
        slot = tops.get(number)
        if slot:
            lowest = slot.finding.row.position or 0
            yield Unit(number, slot)
        else:
            yield Unit(number, inside=lowest <= number)


ROUTES = [show, strangers]
