# SPDX-License-Identifier: Apache-2.0
"""A page of machines for which a condition holds.

The condition is tried on one machine after the other. A request looks at a limited number of
them for a limited time; then `next` leads on, also from a page with few machines or none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from muster.machine.conditions import Node, Verdict, evaluate
from muster.store import facts, machines
from muster.store.engine import Tx
from muster.store.machines import Machine

BATCH = 100
SECONDS = 2.0


@dataclass(frozen=True)
class Page:
    """`because` tells by the machine's id why it is listed; `next` is empty at the end."""

    machines: list[Machine]
    because: dict[str, str]
    next: str


def page(tx: Tx, condition: Node | None, *, state: str, after: str, limit: int) -> Page:
    """At most `limit` machines by name, behind the one called `after`."""
    if condition is None:
        found = machines.some(tx, state=state, after=after, limit=limit)
        return Page(found, {}, found[-1].name if len(found) == limit else "")
    whole = Page([], {}, "")
    until = time.monotonic() + SECONDS
    while batch := machines.some(tx, state=state, after=after, limit=BATCH):
        for machine, verdict in _tried(tx, condition, batch):
            after = machine.name
            if verdict.holds:
                whole.machines.append(machine)
                whole.because[machine.id] = verdict.because
            if len(whole.machines) == limit or time.monotonic() > until:
                return Page(whole.machines, whole.because, after)
    return whole


def _tried(tx: Tx, condition: Node, batch: list[Machine]) -> Iterator[tuple[Machine, Verdict]]:
    known = facts.of(tx, batch)
    for machine in batch:
        yield machine, evaluate(condition, known[machine.id])
