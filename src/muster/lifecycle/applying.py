# SPDX-License-Identifier: Apache-2.0
"""Carries out what enabled rules say of a machine: after each run, and on stored machines."""

from datetime import datetime

from muster.lifecycle import commission, pools
from muster.lifecycle.commission import Options
from muster.lifecycle.policy import Policy
from muster.lifecycle.rules import enabled
from muster.lifecycle.ruling import Ruling, rule_on
from muster.machine import states
from muster.machine.states import State
from muster.store import events, facts, machines, rules, runs, tags
from muster.store.engine import Conflict, Store, Tx
from muster.store.machines import Machine

AT_ONCE = 100


def at_hello(tx: Tx, machine: Machine) -> tuple[str, bool]:
    """Why this machine must wait for a person ("" if not), and whether a rule accepts it."""
    order = [r for r in enabled(tx) if r.actions.hold or r.actions.accept or r.actions.commission]
    if not order:
        return "", False
    ruling = _ruling(tx, machine)
    return (ruling.hold[0] if ruling.hold else ""), ruling.accept is not None


def apply(tx: Tx, policy: Policy, machine: str, now: datetime) -> None:
    """Every enabled rule, to a machine that the caller has locked."""
    before = rules.held(tx, machine)
    if not before and not enabled(tx):
        return
    found = machines.find(tx, machine)
    ruling = _ruling(tx, found)
    begun = {name: why for name, why in ruling.matches.items() if name not in before}
    rules.hold(tx, machine, ruling.matches, now)
    _tag(tx, found, ruling, now)
    if ruling.pool:
        pools.move(tx, found, ruling.pool[0], actor=f"rule {ruling.pool[1].name}"[:64], now=now)
    for rule in enabled(tx):
        if rule.name in begun and rule.actions.notify:
            told = f"rule {rule.name} holds for {found.name}: {begun[rule.name]}"
            events.add(tx, now, "rule.notify", told[:2048], machine=machine)
    if found.state == State.NEW:
        _on_new(tx, policy, found, ruling, begun, now)


def _ruling(tx: Tx, machine: Machine) -> Ruling:
    others = {row.tag for row in tags.of_machine(tx, machine.id) if row.source != "rule"}
    return rule_on(enabled(tx), facts.of(tx, [machine])[machine.id], others)


def _tag(tx: Tx, machine: Machine, ruling: Ruling, now: datetime) -> None:
    has: dict[str, set[str]] = {}
    for row in tags.of_machine(tx, machine.id):
        if row.source == "rule":
            has.setdefault(row.origin, set()).add(row.tag)
    for name in {*has, *ruling.tags}:
        wanted = set(ruling.tags.get(name, ()))
        if wanted == has.get(name, set()):
            continue
        given = {(machine.id, tag): ruling.verdicts[name].because for tag in wanted}
        changes = tags.settle(tx, "rule", name, given, now, ids=[machine.id])
        told = [f"has tag {tag} by rule {name}: {given[key, tag]}" for key, tag in changes.given]
        told += [f"has tag {tag} no more by rule {name}" for _, tag in changes.taken]
        for text in told:
            events.add(tx, now, "tag.rule", f"{machine.name} {text}"[:2048], machine=machine.id)


def _on_new(
    tx: Tx, policy: Policy, machine: Machine, ruling: Ruling, begun: dict[str, str], now: datetime
) -> None:
    if ruling.name and ruling.name[0] != machine.name:
        label, rule = ruling.name
        if machines.name_taken(tx, label):
            _failed(tx, machine, rule.name, f"the name {label} is taken", now)
        else:
            machines.rename(tx, machine.id, label, now=now)
            told = f"{machine.name} is now called {label}"
            actor = f"rule {rule.name}"[:64]
            events.add(tx, now, "machine.renamed", told, actor=actor, machine=machine.id)
    if ruling.hold:
        reason, rule = ruling.hold
        if rule.name in begun:
            told = f"{machine.name} waits for a person, rule {rule.name}: {reason}"
            machines.update(tx, machine.id, state_reason=told[:2048], updated_at=now)
            events.add(tx, now, "rule.held", told[:2048], machine=machine.id)
        return
    if ruling.accept and not machine.permitted and not machine.denied_reason:
        machines.update(tx, machine.id, permitted=True, updated_at=now)
        told = f"{machine.name} may send its data"
        actor = f"rule {ruling.accept.name}"[:64]
        events.add(tx, now, "machine.accepted", told, actor=actor, machine=machine.id)
    if ruling.commission and ruling.commission.name in begun and not machine.denied_reason:
        _commission(tx, policy, machine.id, ruling, now)


def _commission(tx: Tx, policy: Policy, machine: str, ruling: Ruling, now: datetime) -> None:
    """Once, when the rule begins to hold: what a person aborted is not begun again."""
    rule = ruling.commission
    assert rule is not None
    found = machines.find(tx, machine)
    if runs.open_of(tx, machine) is not None or found.surveyed_at is None:
        return
    options = Options(scripts=list(rule.actions.scripts), tests=list(rule.actions.tests))
    actor = f"rule {rule.name}"[:64]
    try:
        with tx.begin_nested():
            commission.start_in(tx, policy, found, options, actor=actor, now=now)
    except (Conflict, states.Refused) as error:
        _failed(tx, found, rule.name, str(error), now)


def _failed(tx: Tx, machine: Machine, rule: str, why: str, now: datetime) -> None:
    told = f"rule {rule} could not be carried out on {machine.name}: {why}"
    events.add(tx, now, "rule.failed", told[:2048], machine=machine.id)


def catch_up(store: Store, policy: Policy, now: datetime) -> bool:
    """Apply the enabled rules to the next stored machines; False when nothing is left to do."""
    with store.write() as tx:
        reached = rules.passed_to(tx)
        if reached is None:
            return False
        batch = machines.lock_after(tx, reached, limit=AT_ONCE)
        for machine in batch:
            apply(tx, policy, machine.id, now)
        rules.passed(tx, batch[-1].id if len(batch) == AT_ONCE else None)
    return True
