# SPDX-License-Identifier: Apache-2.0
"""What polling saw of each machine's power last, and when to look again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.goals import Goal
from muster.store.machines import Machine
from muster.store.rows import all_to, to
from muster.store.schema import bmc_leases, findings, machines, power_goals, power_states


@dataclass(frozen=True)
class PowerState:
    """`state`: on, off, unknown, "" before the first look; `failures` in a row, last `error`."""

    machine_id: str
    state: str = ""
    health: str = ""
    seen_at: datetime | None = None
    changed_at: datetime | None = None
    failures: int = 0
    error: str = ""
    due_at: datetime | None = None


def find(tx: Tx, machine: str) -> PowerState | None:
    """What was seen of this machine."""
    query = sa.select(power_states).where(power_states.c.machine_id == machine)
    return to(PowerState, tx.execute(query).first())


def renew(tx: Tx, machine: str, *, switched: bool, now: datetime) -> None:
    """It is switched otherwise by now: what was seen is forgotten, and looked at anew."""
    tx.execute(power_states.delete().where(power_states.c.machine_id == machine))
    if switched:
        tx.execute(power_states.insert(), asdict(PowerState(machine, due_at=now)))


def enrol(tx: Tx, *, now: datetime) -> None:
    """Rows, due now, for machines that have a switch and no row: reads all machines."""
    known = sa.select(power_states.c.machine_id)
    query = sa.select(machines.c.id).where(
        machines.c.power_driver != "manual", machines.c.id.not_in(known)
    )
    fresh = [asdict(PowerState(row.id, due_at=now)) for row in tx.execute(query)]
    if fresh:
        tx.execute(power_states.insert(), fresh)


def claim_due(
    tx: Tx, *, now: datetime, lease: timedelta, limit: int
) -> list[tuple[PowerState, Machine]]:
    """Due rows, due again after `lease` as they say; a BMC that is acted on is left in peace."""
    acted_on = sa.select(bmc_leases.c.bmc).where(bmc_leases.c.until > now)
    query = (
        sa.select(power_states)
        .join(machines, machines.c.id == power_states.c.machine_id)
        .where(power_states.c.due_at <= now, machines.c.bmc.not_in(acted_on))
        .order_by(power_states.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=power_states)
    )
    due = {state.machine_id: state for state in all_to(PowerState, tx.execute(query))}
    if not due:
        return []
    where = power_states.c.machine_id.in_(due)
    until = now + lease
    tx.execute(power_states.update().where(where).values(due_at=until))
    found = all_to(Machine, tx.execute(sa.select(machines).where(machines.c.id.in_(due))))
    return [(replace(due[machine.id], due_at=until), machine) for machine in found]


def still(tx: Tx, claimed: Sequence[PowerState]) -> set[str]:
    """The machines of claimed rows that nobody deleted, switched otherwise or claimed since."""
    wanted = [state.machine_id for state in claimed]
    query = (
        sa.select(power_states.c.machine_id, power_states.c.due_at)
        .where(power_states.c.machine_id.in_(wanted))
        .with_for_update()
    )
    leases = {row.machine_id: row.due_at for row in tx.execute(query)}
    return {one.machine_id for one in claimed if leases.get(one.machine_id) == one.due_at}


def save(tx: Tx, states: Sequence[PowerState]) -> None:
    """Write what was seen."""
    if not states:
        return
    columns = [column.name for column in power_states.columns if column.name != "machine_id"]
    change = (
        power_states.update()
        .where(power_states.c.machine_id == sa.bindparam("key"))
        .values({name: sa.bindparam(f"new_{name}") for name in columns})
    )
    rows = [
        {"key": state.machine_id, **{f"new_{name}": getattr(state, name) for name in columns}}
        for state in states
    ]
    tx.execute(change, rows)


def without_finding(
    tx: Tx, name: str, *, drivers: Sequence[str], since: datetime, limit: int
) -> list[Machine]:
    """Machines whose BMC answers and whose finding of this name is older than `since`, or none."""
    taken = sa.and_(findings.c.machine_id == machines.c.id, findings.c.name == name)
    query = (
        sa.select(machines)
        .join(power_states, power_states.c.machine_id == machines.c.id)
        .outerjoin(findings, taken)
        .where(
            machines.c.power_driver.in_(drivers),
            power_states.c.seen_at.is_not(None),
            power_states.c.failures == 0,
            sa.or_(findings.c.taken_at.is_(None), findings.c.taken_at <= since),
        )
        .order_by(findings.c.taken_at, machines.c.id)
        .limit(limit)
    )
    return all_to(Machine, tx.execute(query))


def goals_of(tx: Tx, ids: Sequence[str]) -> dict[str, Goal]:
    """What is or was wanted of these machines."""
    query = sa.select(power_goals).where(power_goals.c.machine_id.in_(ids))
    return {goal.machine_id: goal for goal in all_to(Goal, tx.execute(query))}


@dataclass(frozen=True)
class PowerRow:
    """A machine with what was seen of its power; `goal` and `status` are "" without a goal."""

    id: str
    name: str
    power_driver: str
    state: str
    health: str
    error: str
    seen_at: datetime | None
    goal: str
    status: str
    detail: str


def overview(tx: Tx, *, limit: int) -> list[PowerRow]:
    """Machines that have a switch: those in trouble first, then by name."""
    seen, goal = power_states.c, power_goals.c
    query = (
        sa.select(
            machines.c.id, machines.c.name, machines.c.power_driver, seen.seen_at,
            *(sa.func.coalesce(column, "").label(name) for name, column in (
                ("state", seen.state), ("health", seen.health), ("error", seen.error),
                ("goal", goal.goal), ("status", goal.status), ("detail", goal.detail))),
        )
        .outerjoin(power_states, seen.machine_id == machines.c.id)
        .outerjoin(power_goals, goal.machine_id == machines.c.id)
        .where(machines.c.power_driver != "manual")
        .order_by(sa.case((sa.func.coalesce(seen.error, "") != "", 0), else_=1), machines.c.name)
    )  # fmt: skip
    return all_to(PowerRow, tx.execute(query.limit(limit)))


def count(tx: Tx) -> dict[str, int]:
    """How many machines are on, off, unknown; "manual" are those only a person can switch."""
    query = sa.select(power_states.c.state, sa.func.count()).group_by(power_states.c.state)
    found = {str(state) or "not looked yet": int(number) for state, number in tx.execute(query)}
    manual = sa.select(sa.func.count()).where(machines.c.power_driver == "manual")
    return found | {"manual": int(tx.execute(manual).scalar_one())}
