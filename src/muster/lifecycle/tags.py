# SPDX-License-Identifier: Apache-2.0
"""Gives machines their tags: a person's, a script's, a definition's, the hardware's own.

A definition is tried when a machine's inventory is read, and on every machine when it changes;
that takes many short transactions, and the tag's row says how far they got.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.lifecycle import definitions
from muster.lifecycle.definitions import AT_ONCE, KINDS
from muster.lifecycle.survey import AUTOMATIC, RESOURCES, VIRTUALITY
from muster.machine.tagging import REMEDY, valid
from muster.store import choices, events, findings, hardware, machines, tags
from muster.store.engine import Conflict, Missing, Store, Tx
from muster.store.machines import Machine
from muster.store.tags import Given, Tag
from muster.wire.codec import BadMessage

EVENTS_LIMIT = 20
"""A script may name more tags than anybody wants to read of one after the other."""


@dataclass(frozen=True)
class Outcome:
    """What became of one machine of many; `why` is empty when it was done."""

    reference: str
    machine: str
    done: bool
    why: str = ""


def define(
    store: Store, name: str, *, comment: str, kind: str, definition: str, actor: str, now: datetime
) -> Tag:
    """Make a tag or say something else of it; raises BadMessage, Conflict."""
    check_name("name", name)
    definitions.check(kind, definition)
    with store.write() as tx:
        old = tags.find(tx, name)
        same = old is not None and (old.kind, old.definition) == (kind, definition)
        if kind and not same:
            _refuse_others(tx, name)
        looked_to = old.looked_to if same and old else ("" if kind else None)
        if old and old.kind and not kind:
            tags.forget_source(tx, name, "definition")
        tag = Tag(name, comment, kind, definition, looked_to, actor, now)
        tags.put(tx, tag)
        told = f"tag {name}: {definition or 'by hand'}" + (f" ({comment})" if comment else "")
        events.add(tx, now, "tag.changed" if old else "tag.made", told[:2048], actor=actor)
    return tag


def _refuse_others(tx: Tx, name: str) -> None:
    """A tag that a definition gives comes from nowhere else, so that it can be relied on."""
    if found := tags.sources(tx, name) - {"definition"}:
        raise Conflict(
            f"tag {name} is given by {' and '.join(sorted(found))} already: a definition would"
            " contradict it; use another name or take it away first"
        )


def delete(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """The tag goes from every machine, its image too; raises Missing when there is none."""
    with store.write() as tx:
        known = tags.find(tx, name)
        chosen = choices.of_tags(tx, [name])
        count = tags.delete(tx, name)
        if known is None and not count and not chosen:
            raise Missing(f"there is no tag {name!r}")
        choices.put_tag(tx, name, None)
        told = f"tag {name} was deleted; {count} machines had it"
        if chosen:
            told += " and were started as it chose"
        events.add(tx, now, "tag.deleted", told, actor=actor)


def by_hand(
    store: Store, name: str, *, add: Sequence[str], remove: Sequence[str], actor: str, now: datetime
) -> list[Outcome]:
    """Give and take a tag; machines by id or name, each with its own outcome."""
    check_name("name", name)
    with store.write() as tx:
        tag = tags.find(tx, name)
        if tag and tag.kind:
            raise Conflict(f"tag {name} is given by its definition: {tag.definition}")
        machines.lock_all(tx, [*add, *remove])
        given = [_one(tx, one, name, actor, now, give=True) for one in add]
        return given + [_one(tx, one, name, actor, now, give=False) for one in remove]


def _one(
    tx: Tx, reference: str, name: str, actor: str, now: datetime, *, give: bool
) -> Outcome:  # fmt: skip
    try:
        machine = machines.find(tx, reference)
    except Missing as error:
        return Outcome(reference, "", done=False, why=str(error))
    others = {row.source for row in tags.of_machine(tx, machine.id) if row.tag == name} - {"hand"}
    given: Given = {(machine.id, name): f"by {actor}"} if give else {}
    _settle(tx, machine, "hand", "", given, now, only=name, actor=actor)
    if not give and others:
        why = f"{machine.name} still has it from {' and '.join(sorted(others))}"
        return Outcome(reference, machine.id, done=False, why=why)
    return Outcome(reference, machine.id, done=True)


def after_script(
    tx: Tx, machine: str, script: str, named: list[str] | None, now: datetime, *, read: bool
) -> None:
    """A script has ended: its own tags, and what hangs on its output when that was `read`."""
    defines = read and any(script in kind.reads for kind in KINDS.values())
    if named is None and not defines and not (read and script in (RESOURCES, VIRTUALITY)):
        return
    found = machines.find(tx, machine)
    if named is not None:
        _by_script(tx, found, script, named, now)
    if not read:
        return
    if script == RESOURCES:
        own = hardware.of(tx, [machine]).get(machine, {}).get(AUTOMATIC, {})
        given = {(machine, tag): because for tag, because in own.items()}
        _settle(tx, found, "automatic", "", given, now)
    if script == VIRTUALITY:
        told = findings.body(tx, machine, "virtuality") or {}
        because = f"the hypervisor is {told.get('hypervisor')}"
        given = {(machine, "virtual"): because} if told.get("virtual") else {}
        _settle(tx, found, "automatic", script, given, now)
    if defines:
        _reconsider(tx, found, now)


def _by_script(tx: Tx, machine: Machine, script: str, named: list[str], now: datetime) -> None:
    """What it does not name any more is taken; another source's tags are not its business."""
    taken = {tag.name for tag in tags.defined(tx, named)}
    because = f"{script} says so"
    given = {(machine.id, name): because for name in named if name not in taken}
    _settle(tx, machine, "script", script, given, now)
    for name in sorted(taken)[:EVENTS_LIMIT]:
        told = f"{machine.name}: {script} names tag {name}, which only its definition gives"
        events.add(tx, now, "tag.refused", told, machine=machine.id)


def reconsider(tx: Tx, machine: str, now: datetime) -> None:
    """Try every definition on one machine; the caller has locked it."""
    _reconsider(tx, machines.find(tx, machine), now)


def _reconsider(tx: Tx, machine: Machine, now: datetime) -> None:
    given: dict[tuple[str, str], str] = {}
    for tag in tags.defined(tx):
        if tag.kind not in KINDS:
            continue
        verdict = KINDS[tag.kind].evaluate(tx, tag.definition, [machine])[machine.id]
        if verdict.holds:
            given[machine.id, tag.name] = verdict.because
    _settle(tx, machine, "definition", "", given, now)


def catch_up(store: Store, now: datetime) -> bool:
    """Try a changed definition on the next machines; False when nothing is left to do."""
    with store.write() as tx:
        tag = tags.unfinished(tx)
        if tag is None or tag.looked_to is None:
            return False
        at_once = KINDS[tag.kind].at_once if tag.kind in KINDS else AT_ONCE
        batch = machines.lock_after(tx, tag.looked_to, limit=at_once)
        given: Given = {}
        if tag.kind in KINDS:
            verdicts = KINDS[tag.kind].evaluate(tx, tag.definition, batch)
            given = {(m, tag.name): v.because for m, v in verdicts.items() if v.holds}
        ids = [machine.id for machine in batch]
        tags.settle(tx, "definition", "", given, now, ids=ids, only=tag.name)
        done = len(batch) < at_once
        tags.looked(tx, tag.name, to=None if done else ids[-1])
        if done:
            told = f"tag {tag.name}: {tags.counts(tx).get(tag.name, 0)} machines have it"
            events.add(tx, now, "tag.settled", told)
    return True


def _settle(
    tx: Tx, machine: Machine, source: str, origin: str, given: Given, now: datetime,
    *, only: str = "", actor: str = "",
) -> None:  # fmt: skip
    """With an event for each change."""
    changes = tags.settle(tx, source, origin, given, now, ids=[machine.id], only=only)
    told = [("tag.given", f"has tag {tag}: {given[key, tag]}") for key, tag in changes.given]
    told += [("tag.taken", f"has tag {tag} no more from {source}") for _, tag in changes.taken]
    for kind, text in told[:EVENTS_LIMIT]:
        events.add(tx, now, kind, f"{machine.name} {text}"[:2048], actor=actor, machine=machine.id)


def check_name(field: str, name: str) -> None:
    """Raises BadMessage for what cannot be the name of a tag or pool."""
    if not valid(name):
        raise BadMessage(field, f"{name[:80]!r} is no name: {REMEDY}")
