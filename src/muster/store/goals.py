# SPDX-License-Identifier: Apache-2.0
"""Power goals: one row a machine says what is wanted and how far it has come.

The row is the only truth: a process that dies loses nothing, the next one takes the row when it
is due again. A BMC that is being talked to has a lease, so that nobody else acts on it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.notices import tell
from muster.store.rows import all_to, to
from muster.store.schema import bmc_leases, machines, power_goals


@dataclass(frozen=True)
class Goal:
    """`goal`: on, off or cycle; `status`: waiting, sent, reached, failed.

    `boot_device` is for the start that the goal leads to; `sends` commands were accepted, the last
    at `sent_at`.
    """

    machine_id: str
    goal: str
    status: str
    generation: int
    attempts: int
    detail: str
    due_at: datetime | None
    deadline_at: datetime | None
    updated_at: datetime
    boot_device: str = ""
    sent_at: datetime | None = None
    sends: int = 0


@dataclass(frozen=True)
class Due:
    """A claimed goal and what is leased for it."""

    goal: Goal
    bmc: str
    holder: str


@dataclass(frozen=True)
class Limits:
    """How many BMCs are acted on at once, by all processes together."""

    in_all: int
    a_subnet: int


def operation(machine: str, generation: int) -> str:
    """What a goal is called where anything that takes long is watched."""
    return f"power-{machine}-{generation}"


def unfinished(tx: Tx, *, machine: str = "", limit: int) -> list[Goal]:
    """Goals that are worked on, of one machine or of all."""
    query = sa.select(power_goals).where(power_goals.c.status.in_(("waiting", "sent")))
    if machine:
        query = query.where(power_goals.c.machine_id == machine)
    return all_to(Goal, tx.execute(query.order_by(power_goals.c.updated_at.desc()).limit(limit)))


def want(
    tx: Tx, machine: str, goal: str, *, now: datetime, deadline: datetime, boot_device: str = ""
) -> int:
    """Replace whatever was wanted before; returns the generation of the new goal."""
    old = find(tx, machine)
    values: dict[str, Any] = {
        "goal": goal,
        "status": "waiting",
        "attempts": 0,
        "detail": "",
        "boot_device": boot_device,
        "sent_at": None,
        "sends": 0,
        "due_at": now,
        "deadline_at": deadline,
        "updated_at": now,
    }
    if old is None:
        tx.execute(power_goals.insert().values(machine_id=machine, generation=1, **values))
        return 1
    where = power_goals.c.machine_id == machine
    tx.execute(power_goals.update().where(where).values(generation=old.generation + 1, **values))
    tell(tx, "operation", operation(machine, old.generation))
    return old.generation + 1


def find(tx: Tx, machine: str) -> Goal | None:
    """What is wanted of this machine."""
    query = sa.select(power_goals).where(power_goals.c.machine_id == machine)
    return to(Goal, tx.execute(query).first())


def claim_due(
    tx: Tx,
    *,
    now: datetime,
    lease: timedelta,
    limits: Limits,
    subnet_of: Callable[[str], str],
    holder: str,
) -> list[Due]:
    """Due goals whose BMC nobody acts on; they are due again after `lease`.

    The caller holds `Store.one_at_a_time`: two claims at once would each see a free BMC.
    """
    tx.execute(bmc_leases.delete().where(bmc_leases.c.until <= now))
    query = sa.select(bmc_leases.c.bmc, bmc_leases.c.subnet)
    held: dict[str, str] = {row.bmc: row.subnet for row in tx.execute(query)}
    a_subnet = Counter(held.values())
    found: list[Due] = []
    for goal, bmc in _due(tx, now, held, limit=4 * limits.in_all):
        subnet = subnet_of(bmc)
        if len(held) >= limits.in_all:
            break
        if bmc in held or a_subnet[subnet] >= limits.a_subnet:
            continue
        held[bmc] = subnet
        a_subnet[subnet] += 1
        found.append(Due(goal, bmc, holder))
    _lease(tx, found, held, until=now + lease)
    return found


def _due(tx: Tx, now: datetime, held: dict[str, str], *, limit: int) -> list[tuple[Goal, str]]:
    # What has no BMC to share is known by its machine.
    bmc = sa.func.coalesce(sa.func.nullif(machines.c.bmc, ""), machines.c.id)
    query = (
        sa.select(power_goals, bmc.label("key"))
        .join(machines, machines.c.id == power_goals.c.machine_id)
        .where(power_goals.c.due_at <= now, bmc.not_in(list(held)))
        .order_by(power_goals.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=power_goals)
    )
    rows = tx.execute(query).all()
    return [(goal, row.key) for row in rows if (goal := to(Goal, row)) is not None]


def _lease(tx: Tx, found: list[Due], subnets: dict[str, str], *, until: datetime) -> None:
    if not found:
        return
    leases = [
        {"bmc": due.bmc, "subnet": subnets[due.bmc], "holder": due.holder, "until": until}
        for due in found
    ]
    tx.execute(bmc_leases.insert(), leases)
    where = power_goals.c.machine_id.in_([due.goal.machine_id for due in found])
    tx.execute(power_goals.update().where(where).values(due_at=until))


def still_held(tx: Tx, due: Due, *, until: datetime) -> bool:
    """Lengthen the lease; False when it was over and somebody else may act by now."""
    where = sa.and_(bmc_leases.c.bmc == due.bmc, bmc_leases.c.holder == due.holder)
    return tx.execute(bmc_leases.update().where(where).values(until=until)).rowcount == 1


def release(tx: Tx, due: Due) -> None:
    """Others may act on the BMC again."""
    where = sa.and_(bmc_leases.c.bmc == due.bmc, bmc_leases.c.holder == due.holder)
    tx.execute(bmc_leases.delete().where(where))


def settle(tx: Tx, claimed: Goal, **values: Any) -> bool:
    """Write the outcome of a step; False when somebody wants something else by now."""
    where = sa.and_(
        power_goals.c.machine_id == claimed.machine_id,
        power_goals.c.generation == claimed.generation,
    )
    tell(tx, "operation", operation(claimed.machine_id, claimed.generation))
    return tx.execute(power_goals.update().where(where).values(values)).rowcount == 1
