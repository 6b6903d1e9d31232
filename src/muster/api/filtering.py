# SPDX-License-Identifier: Apache-2.0
"""A page of machines for which a condition holds.

The condition is tried on one machine after the other. A request looks at a limited number of
them for a limited time; then `next` leads on, also from a page with few machines or none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from muster.machine.conditions import Node, Verdict, evaluate
from muster.store import hardware, machines
from muster.store.engine import Tx
from muster.store.machines import Machine

BATCH = 100
SECONDS = 2.0


@dataclass(frozen=True)
class Page:
    """`because` tells by the machine's id why it is listed; `next` is empty at the end."""

    machines: list[Machine]
    macs: dict[str, list[str]]
    because: dict[str, str]
    next: str


def page(tx: Tx, condition: Node | None, *, state: str, after: str, limit: int) -> Page:
    """At most `limit` machines by name, behind the one called `after`."""
    if condition is None:
        found = machines.some(tx, state=state, after=after, limit=limit)
        macs = machines.macs_of(tx, [machine.id for machine in found])
        return Page(found, macs, {}, found[-1].name if len(found) == limit else "")
    whole = Page([], {}, {}, "")
    until = time.monotonic() + SECONDS
    while batch := machines.some(tx, state=state, after=after, limit=BATCH):
        macs = machines.macs_of(tx, [machine.id for machine in batch])
        for machine, verdict in _tried(tx, condition, batch, macs):
            after = machine.name
            if verdict.holds:
                whole.machines.append(machine)
                whole.macs[machine.id] = macs[machine.id]
                whole.because[machine.id] = verdict.because
            if len(whole.machines) == limit or time.monotonic() > until:
                return Page(whole.machines, whole.macs, whole.because, after)
    return whole


def _tried(
    tx: Tx, condition: Node, batch: list[Machine], macs: dict[str, list[str]]
) -> Iterator[tuple[Machine, Verdict]]:
    known = hardware.of(tx, [machine.id for machine in batch])
    for machine in batch:
        facts = vars(machine) | {
            "macs": macs[machine.id],
            "hardware": known.get(machine.id, {}),
        }
        yield machine, evaluate(condition, facts)
