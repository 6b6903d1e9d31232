# SPDX-License-Identifier: Apache-2.0
"""A person's rules: kept, tried on the whole fleet, enabled, and never before they were tried."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from muster.lifecycle.ruling import Ruling, rule_on
from muster.lifecycle.tags import check_name
from muster.machine import rules as machine_rules
from muster.machine.grammar import BadExpression, parse
from muster.machine.rules import Actions, BadRule, Rule, ordered, refuse_conflicts
from muster.store import events, facts, machines, rules, tags
from muster.store.engine import Conflict, Store, Tx
from muster.store.rules import RuleRow
from muster.wire.codec import BadMessage

PAGE = 500
SECONDS = 2.0
"""What one request of a dry run may look at, and for how long."""


@dataclass(frozen=True)
class Tried:
    """What a rule would do to one machine; `holds` null where too little is known."""

    machine: str
    name: str
    holds: bool | None
    because: str
    would: list[str]


@dataclass(frozen=True)
class Trial:
    """A page of a dry run; `next` leads on and is empty when all machines were seen."""

    items: list[Tried]
    next: str


def put(
    store: Store, name: str, *, priority: int, condition: str, actions: Actions, comment: str,
    actor: str, now: datetime,
) -> RuleRow:  # fmt: skip
    """Make or change a rule, which is off then; raises BadMessage."""
    row = read(name, priority, condition, actions, comment, actor=actor, now=now)
    with store.write() as tx:
        _off(tx, name)
        rules.add(tx, row)
        told = f"rule {name}: {condition}: {_told(actions)}"
        events.add(tx, now, "rule.changed", told[:2048], actor=actor)
    return row


def read(
    name: str, priority: int, condition: str, actions: Actions, comment: str, *, actor: str,
    now: datetime,
) -> RuleRow:  # fmt: skip
    """The rule as it would be kept; raises BadMessage and names what is wrong."""
    check_name("name", name)
    row = RuleRow(name, priority, condition, asdict(actions), comment, enabled=False, tried="",
                  tried_to=None, tried_at=None, updated_by=actor, updated_at=now)  # fmt: skip
    try:
        known = compiled(row)
        machine_rules.check(actions)
        ordered([known])
    except BadRule as error:
        raise BadMessage(error.field, error.why) from error
    return row


def try_out(store: Store, name: str, *, after: str, now: datetime) -> Trial:
    """What the rule would do to the next machines behind the one with the id `after`."""
    with store.read() as tx:
        row = rules.find(tx, name)
        order = _beside(tx, row)
        until = time.monotonic() + SECONDS
        items: list[Tried] = []
        batch = machines.after(tx, after, limit=PAGE)
        known = facts.of(tx, batch)
        for machine in batch:
            given = [t for t in tags.of_machine(tx, machine.id) if t.source != "rule"]
            ruling = rule_on(order, known[machine.id], {tag.tag for tag in given})
            items.append(_tried(row, ruling, machine))
            if time.monotonic() > until:
                break
    done = len(items) == len(batch) < PAGE
    trial = Trial(items, "" if done else items[-1].machine)
    with store.write() as tx:
        _keep_progress(tx, row, after, trial.next, now)
    return trial


def _keep_progress(tx: Tx, row: RuleRow, after: str, to: str, now: datetime) -> None:
    """Only a dry run without a gap, of the rule as it is now, counts."""
    found = rules.find(tx, row.name)
    digest = _digest(row)
    if _digest(found) != digest or (after and (found.tried, found.tried_to) != (digest, after)):
        return
    rules.update(
        tx, row.name, tried=digest, tried_to=to or None, tried_at=None if to else now
    )  # fmt: skip


def _tried(row: RuleRow, ruling: Ruling, machine: machines.Machine) -> Tried:
    verdict = ruling.verdicts[row.name]
    would = ruling.would(row.name, machine) if verdict.holds else []
    return Tried(machine.id, machine.name, verdict.holds, verdict.because, would)


def enable(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """Raises Conflict before a dry run has seen every machine, and for rings and conflicts."""
    with store.write() as tx:
        row = rules.find(tx, name)
        if row.tried_at is None or row.tried != _digest(row):
            raise Conflict(f"rule {name} was not tried on every machine since it changed: dry-run")
        try:
            others = [compiled(one) for one in rules.some(tx, enabled=True) if one.name != name]
            ordered([*others, compiled(row)])
            defined = [tag.name for tag in tags.defined(tx)]
            refuse_conflicts([*others, compiled(row)], defined)
        except BadRule as error:
            raise Conflict(f"rule {name} cannot be enabled: {error.why}") from error
        rules.update(tx, name, enabled=True, updated_by=actor, updated_at=now)
        rules.begin_pass(tx)
        events.add(tx, now, "rule.enabled", f"rule {name} is on", actor=actor)


def disable(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """Its tags are taken back; what else it did stays."""
    with store.write() as tx:
        rules.find(tx, name)
        _off(tx, name)
        events.add(tx, now, "rule.disabled", f"rule {name} is off", actor=actor)


def delete(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """Off and gone."""
    with store.write() as tx:
        rules.find(tx, name)
        _off(tx, name)
        rules.delete(tx, name)
        events.add(tx, now, "rule.deleted", f"rule {name} was deleted", actor=actor)


def _off(tx: Tx, name: str) -> None:
    """Other rules may have asked for its tags: they are tried anew."""
    rules.update(tx, name, enabled=False)
    rules.forget(tx, name)
    if rules.some(tx, enabled=True):
        rules.begin_pass(tx)


def enabled(tx: Tx) -> list[Rule]:
    """The rules that are on, each behind those whose work it asks for."""
    rows = rules.some(tx, enabled=True)
    return _ordered(tuple((r.name, r.priority, r.condition, _text(r.actions)) for r in rows))


def _beside(tx: Tx, row: RuleRow) -> list[Rule]:
    """The rules that are on, and this one, as if it were."""
    others = [compiled(one) for one in rules.some(tx, enabled=True) if one.name != row.name]
    try:
        return ordered([*others, compiled(row)])
    except BadRule as error:
        raise Conflict(f"rule {row.name} cannot be tried: {error.why}") from error


@lru_cache(maxsize=16)
def _ordered(key: tuple[tuple[str, int, str, str], ...]) -> list[Rule]:
    return ordered([Rule(n, p, parse(c), actions_of(json.loads(a))) for n, p, c, a in key])


def compiled(row: RuleRow) -> Rule:
    """The rule of a row; raises BadRule."""
    try:
        return Rule(row.name, row.priority, parse(row.condition), actions_of(row.actions))
    except BadExpression as error:
        raise BadRule("condition", str(error).removeprefix("filter: ")) from error


def actions_of(plain: dict[str, Any]) -> Actions:
    """What `asdict` made, also of an older muster."""
    known = {field.name for field in fields(Actions)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in plain.items()
        if name in known
    }
    return Actions(**given)


def _digest(row: RuleRow) -> str:
    whole = _text([row.condition, row.actions, row.priority])
    return hashlib.sha256(whole.encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _told(actions: Actions) -> str:
    given = {name: value for name, value in asdict(actions).items() if value}
    if not actions.commission:
        given.pop("tests", None)
    words = {name: " ".join(value) if isinstance(value, tuple) else value
             for name, value in given.items()}  # fmt: skip
    return ", ".join(name if value is True else f"{name} {value}" for name, value in words.items())
