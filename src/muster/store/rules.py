# SPDX-License-Identifier: Apache-2.0
"""Rules, how far they were tried, and for which machines they hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema_record import machine_tags, rule_matches, rule_passes, rules

_PASS = 1


@dataclass(frozen=True)
class RuleRow:
    """`tried` is a digest of what the last dry run was of; `tried_at` when that had seen all."""

    name: str
    priority: int
    condition: str
    actions: dict[str, Any]
    comment: str
    enabled: bool
    tried: str
    tried_to: str | None
    tried_at: datetime | None
    updated_by: str
    updated_at: datetime


def some(tx: Tx, *, enabled: bool = False) -> list[RuleRow]:
    """By priority; with `enabled` those only."""
    query = sa.select(rules).order_by(rules.c.priority, rules.c.name)
    if enabled:
        query = query.where(rules.c.enabled)
    return all_to(RuleRow, tx.execute(query))


def find(tx: Tx, name: str) -> RuleRow:
    """By name; raises Missing."""
    found = to(RuleRow, tx.execute(sa.select(rules).where(rules.c.name == name)).first())
    if found is None:
        raise Missing(f"there is no rule {name!r}")
    return found


def add(tx: Tx, row: RuleRow) -> None:
    """A new rule, instead of one of this name."""
    tx.execute(rules.delete().where(rules.c.name == row.name))
    tx.execute(rules.insert().values(vars(row)))


def update(tx: Tx, name: str, **values: Any) -> None:
    """Change columns of one rule."""
    tx.execute(rules.update().where(rules.c.name == name).values(values))


def delete(tx: Tx, name: str) -> None:
    """The rule; `forget` what it holds for."""
    tx.execute(rules.delete().where(rules.c.name == name))


def forget(tx: Tx, name: str) -> None:
    """It holds for nothing any more, and its tags are taken."""
    tx.execute(rule_matches.delete().where(rule_matches.c.rule == name))
    own = sa.and_(machine_tags.c.source == "rule", machine_tags.c.origin == name)
    tx.execute(machine_tags.delete().where(own))


def held(tx: Tx, machine: str) -> dict[str, str]:
    """The rules that hold for a machine, and why."""
    query = sa.select(rule_matches).where(rule_matches.c.machine_id == machine)
    return {row.rule: row.because for row in tx.execute(query)}


def hold(tx: Tx, machine: str, matches: dict[str, str], now: datetime) -> None:
    """From here on these rules hold for a machine; those that did before keep their time."""
    known = held(tx, machine)
    where = rule_matches.c.machine_id == machine
    tx.execute(rule_matches.delete().where(where, rule_matches.c.rule.not_in(list(matches))))
    for name, because in matches.items():
        if name in known:
            same = sa.and_(where, rule_matches.c.rule == name)
            if known[name] != because:
                tx.execute(rule_matches.update().where(same).values(because=because))
            continue
        values = {"machine_id": machine, "rule": name, "because": because, "at": now}
        tx.execute(rule_matches.insert().values(values))


def counts(tx: Tx) -> dict[str, int]:
    """For how many machines each rule holds."""
    query = sa.select(rule_matches.c.rule, sa.func.count()).group_by(rule_matches.c.rule)
    return {str(name): int(number) for name, number in tx.execute(query)}


def begin_pass(tx: Tx) -> None:
    """Try the enabled rules on all machines anew."""
    tx.execute(rule_passes.delete())
    tx.execute(rule_passes.insert().values(id=_PASS, looked_to=""))


def passed_to(tx: Tx) -> str | None:
    """How far the pass is, locked; None when there is none, or another process is at it."""
    query = sa.select(rule_passes.c.looked_to).with_for_update(skip_locked=True)
    return tx.execute(query).scalar_one_or_none()


def passed(tx: Tx, machine: str | None) -> None:
    """The pass got to this machine; None: it has seen all."""
    if machine is None:
        tx.execute(rule_passes.delete())
    else:
        tx.execute(rule_passes.update().values(looked_to=machine))
