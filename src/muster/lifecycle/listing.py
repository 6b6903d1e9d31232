# SPDX-License-Identifier: Apache-2.0
"""A page of machines for which a condition holds, and in which words are found.

The database names those for which the condition may hold (machine/narrowing.py); it is tried on
these one after the other. A request does so for a limited time; then `next` leads on, also from
a page with few machines or none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from muster.machine.columns import Facts
from muster.machine.conditions import Node, evaluate
from muster.machine.narrowing import Narrow, Word, combined, narrow
from muster.machine.traits import starts
from muster.store import facts, machines, search
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.store.search import Order

SECONDS = 2.0
WORDS = 8


@dataclass(frozen=True)
class Asked:
    """What a list is asked for; all of it must be so. `words` are of a search."""

    condition: Node | None = None
    words: str = ""
    state: str = ""

    @property
    def searched(self) -> list[Word]:
        """Each of the words, at most WORDS."""
        return [Word(tuple(starts(word))) for word in self.words.split()[:WORDS]]


@dataclass(frozen=True)
class Page:
    """`because` tells by the machine's id why it is listed; `next` is empty at the end.

    `facts` are what a condition was tried on, by id; empty without one.
    """

    machines: list[Machine]
    because: dict[str, str]
    next: str
    facts: dict[str, Facts] = field(default_factory=dict)


def page(tx: Tx, asked: Asked, *, order: Order, after: str, limit: int) -> Page:
    """At most `limit` machines in `order`, behind the cursor `after`; raises BadCursor."""
    whole = Page([], {}, "")
    until = time.monotonic() + SECONDS
    left = _narrowed(asked)
    while places := search.places(
        tx, left, state=asked.state, order=order, after=after, limit=limit
    ):
        for place, machine, because, asked_of in _tried(tx, asked, places):
            after = place
            if machine is not None:
                whole.machines.append(machine)
                whole.facts.update({machine.id: asked_of} if asked_of else {})
                whole.because.update({machine.id: because} if because else {})
            if len(whole.machines) == limit or time.monotonic() > until:
                return replace(whole, next=after)
        if len(places) < limit:
            break
    return whole


def _narrowed(asked: Asked) -> Narrow | None:
    parts: list[Narrow | None] = [*asked.searched]
    if asked.condition is not None and (left := narrow(asked.condition)):
        parts.append(left)
    return combined("and", parts)


def _tried(
    tx: Tx, asked: Asked, places: list[tuple[str, str]]
) -> Iterator[tuple[str, Machine | None, str, Facts]]:
    """Each place with its machine, when the condition holds for it, why, and what was asked."""
    known = {machine.id: machine for machine in machines.of_ids(tx, [id for _, id in places])}
    told = facts.of(tx, list(known.values())) if asked.condition is not None else {}
    words = search.reasons(tx, list(known), asked.searched) if asked.words else {}
    for place, machine in places:
        verdict = evaluate(asked.condition, told[machine]) if asked.condition else None
        because = [*([verdict.because] if verdict else []), *words.get(machine, [])]
        fits = verdict is None or verdict.holds
        yield place, known[machine] if fits else None, "; ".join(because), told.get(machine, {})
