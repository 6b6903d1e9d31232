# SPDX-License-Identifier: Apache-2.0
"""Expected hardware: learned from golden machines, kept, and held against the fleet."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.lifecycle.tags import check_name
from muster.machine import profiles as expected
from muster.machine.conditions import evaluate
from muster.machine.grammar import BadExpression, parse
from muster.machine.profiles import BadProfile
from muster.store import events, facts, machines, profiles, versions
from muster.store.engine import Conflict, Store, Tx
from muster.store.machines import Machine
from muster.store.profiles import ProfileRow
from muster.wire.codec import BadMessage
from muster.wire.resources import Document, read_sections

PAGE = 200
SECONDS = 2.0
ODD_LIMIT = 300
"""Machines that are compared with each other in one request."""


@dataclass(frozen=True)
class Held:
    """A machine that was held against a profile; no deviations: it is as expected."""

    machine: str
    name: str
    deviations: list[str]


@dataclass(frozen=True)
class Page:
    """`next` leads on, and is empty when all machines were looked at."""

    items: list[Held]
    next: str


def put(
    store: Store, name: str, *, condition: str, profile: dict[str, Any], comment: str, actor: str,
    now: datetime,
) -> ProfileRow:  # fmt: skip
    """Keep a profile that a person wrote; raises BadMessage."""
    check_name("name", name)
    try:
        expected.check(profile)
        if condition:
            parse(condition)
    except BadProfile as error:
        raise BadMessage("expected", str(error)) from error
    except BadExpression as error:
        raise BadMessage("condition", str(error).removeprefix("filter: ")) from error
    row = ProfileRow(name, condition, profile, comment, actor, now)
    with store.write() as tx:
        profiles.put(tx, row)
        told = f"profile {name} was changed: {', '.join(profile)}"
        events.add(tx, now, "profile.changed", told[:2048], actor=actor)
    return row


def learn(
    store: Store, name: str, references: list[str], *, condition: str, comment: str, actor: str,
    now: datetime,
) -> ProfileRow:  # fmt: skip
    """A profile from golden machines; raises Missing, and Conflict for one without document."""
    with store.read() as tx:
        found = [_document(tx, machines.find(tx, one)) for one in references]
    if not found:
        raise BadMessage("machines", "name one golden machine or more")
    profile = expected.learn(found)
    return put(store, name, condition=condition, profile=profile, comment=comment, actor=actor,
               now=now)  # fmt: skip


def delete(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """Take a profile away; raises Missing."""
    with store.write() as tx:
        profiles.find(tx, name)
        profiles.delete(tx, name)
        events.add(tx, now, "profile.deleted", f"profile {name} was deleted", actor=actor)


def held_against(store: Store, name: str, *, after: str) -> Page:
    """The next machines that a profile is for, behind the one with the id `after`."""
    with store.read() as tx:
        row = profiles.find(tx, name)
        items: list[Held] = []
        until = time.monotonic() + SECONDS
        batch = machines.after(tx, after, limit=PAGE)
        for machine, fits in _fitting(tx, row.condition, batch):
            if fits:
                items.append(_held(tx, row, machine))
            after = machine.id
            if time.monotonic() > until:
                return Page(items, after)
    return Page(items, after if len(batch) == PAGE else "")


def _fitting(tx: Tx, condition: str, batch: list[Machine]) -> Iterator[tuple[Machine, bool]]:
    node = parse(condition) if condition else None
    known = facts.of(tx, batch) if node else {}
    for machine in batch:
        yield machine, node is None or bool(evaluate(node, known[machine.id]).holds)


def of_machine(tx: Tx, name: str, machine: Machine) -> list[str]:
    """One machine's deviations from a profile; raises Missing, and Conflict without document."""
    found = expected.deviations(profiles.find(tx, name).expected, _document(tx, machine))
    return [one.sentence for one in found]


def of_every(tx: Tx, machine: Machine, document: Document) -> dict[str, list[str]]:
    """One machine's deviations from each profile that is for it, by the profile's name."""
    return {
        row.name: [one.sentence for one in expected.deviations(row.expected, document)]
        for row in profiles.some(tx)
        for _, fits in _fitting(tx, row.condition, [machine])
        if fits
    }


def _held(tx: Tx, row: ProfileRow, machine: Machine) -> Held:
    try:
        document = _document(tx, machine)
    except Conflict as error:
        return Held(machine.id, machine.name, [str(error)])
    found = expected.deviations(row.expected, document)
    return Held(machine.id, machine.name, [one.sentence for one in found])


def odd_ones(store: Store, product: str, *, vendor: str) -> list[Held]:
    """Machines of this model that are not as most others of it, of the first `ODD_LIMIT`."""
    with store.read() as tx:
        found = {m.id: m for m in machines.of_model(tx, vendor, product, limit=ODD_LIMIT)}
        documents: dict[str, Document] = {}
        for machine in found.values():
            try:
                documents[machine.id] = _document(tx, machine)
            except Conflict:
                continue
    return [
        Held(machine, found[machine].name, [one.sentence for one in several])
        for machine, several in expected.odd(documents).items()
    ]


def _document(tx: Tx, machine: Machine) -> Document:
    newest = versions.some(tx, machine.id, limit=1)
    if not newest:
        raise Conflict(f"{machine.name} has sent no resources document yet")
    return read_sections(versions.body(tx, newest[0]))
