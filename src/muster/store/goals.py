# SPDX-License-Identifier: Apache-2.0
"""Power goals: one row a machine says what is wanted and how far it has come.

The row is the only truth: a process that dies loses nothing, the next one takes the row when it
is due again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.rows import all_to, to
from muster.store.schema import power_goals


@dataclass(frozen=True)
class Goal:
    """`goal`: on, off or cycle; `status`: waiting, sent, reached, failed."""

    machine_id: str
    goal: str
    status: str
    generation: int
    attempts: int
    detail: str
    due_at: datetime | None
    deadline_at: datetime | None
    updated_at: datetime


def want(tx: Tx, machine: str, goal: str, *, now: datetime, deadline: datetime) -> None:
    """Replace whatever was wanted before."""
    old = find(tx, machine)
    values: dict[str, Any] = {
        "goal": goal,
        "status": "waiting",
        "attempts": 0,
        "detail": "",
        "due_at": now,
        "deadline_at": deadline,
        "updated_at": now,
    }
    if old is None:
        tx.execute(power_goals.insert().values(machine_id=machine, generation=1, **values))
        return
    where = power_goals.c.machine_id == machine
    tx.execute(power_goals.update().where(where).values(generation=old.generation + 1, **values))


def find(tx: Tx, machine: str) -> Goal | None:
    """What is wanted of this machine."""
    query = sa.select(power_goals).where(power_goals.c.machine_id == machine)
    return to(Goal, tx.execute(query).first())


def claim_due(tx: Tx, *, now: datetime, lease: timedelta, limit: int) -> list[Goal]:
    """Due rows, now due again after `lease` unless `settle` says otherwise before."""
    query = (
        sa.select(power_goals)
        .where(power_goals.c.due_at <= now)
        .order_by(power_goals.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = all_to(Goal, tx.execute(query))
    if due:
        where = power_goals.c.machine_id.in_([goal.machine_id for goal in due])
        tx.execute(power_goals.update().where(where).values(due_at=now + lease))
    return due


def settle(tx: Tx, claimed: Goal, **values: Any) -> bool:
    """Write the outcome of a step; False when somebody wants something else by now."""
    where = sa.and_(
        power_goals.c.machine_id == claimed.machine_id,
        power_goals.c.generation == claimed.generation,
    )
    return tx.execute(power_goals.update().where(where).values(values)).rowcount == 1
