# SPDX-License-Identifier: Apache-2.0
"""Switches machines until they are as wanted: one row a machine, one idempotent step at a time.

`want` writes the goal inside somebody's transaction; `step` claims due rows, asks the driver, and
writes what happened and when to look again. A process that dies in between loses nothing: the
lease ends and the row is due again.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from muster.lifecycle import runs as run_verbs
from muster.lifecycle.keyring import Keyring, KeyringError
from muster.lifecycle.policy import Policy
from muster.lifecycle.switches import parameters_of
from muster.power.drivers import PowerError, load
from muster.store import events, goals, machines, runs
from muster.store.engine import Store, Tx
from muster.store.goals import Goal
from muster.store.machines import Machine

# A driver takes at most 30 s to ask and 30 s to switch: nobody else may begin before that is over.
LEASE = timedelta(seconds=90)
CONFIRM = timedelta(seconds=1)
AT_ONCE = 50


def want(tx: Tx, policy: Policy, machine: Machine, goal: str, now: datetime, *, why: str) -> None:
    """Write the goal (on, off, cycle); a machine without a driver is told to a person."""
    if machine.power_driver == "manual":
        told = f"switch {machine.name} {'on' if goal == 'cycle' else goal} by hand: {why}"
        events.add(tx, now, "power.manual", told, machine=machine.id)
        return
    deadline = now + timedelta(seconds=policy.power_s)
    goals.want(tx, machine.id, goal, now=now, deadline=deadline)
    told = f"power {goal} wanted for {machine.name}: {why}"
    events.add(tx, now, "power.wanted", told, machine=machine.id)


def ask(
    store: Store, policy: Policy, reference: str, goal: str, *, actor: str, now: datetime
) -> None:
    """A person's wish to switch a machine on, off or off and on."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        want(tx, policy, machine, goal, now, why=f"asked by {actor}")


async def step(store: Store, keyring: Keyring, clock: Callable[[], datetime]) -> int:
    """Work on every due goal once, side by side; returns how many there were."""
    due = await asyncio.to_thread(_claim, store, clock())
    works = (_work(store, keyring, clock, goal, machine) for goal, machine in due)
    ended = await asyncio.gather(*works, return_exceptions=True)
    for mistake in ended:
        # Not before every other machine's step is over.
        if mistake is not None:
            raise mistake
    return len(due)


def _claim(store: Store, now: datetime) -> list[tuple[Goal, Machine]]:
    with store.write() as tx:
        due = goals.claim_due(tx, now=now, lease=LEASE, limit=AT_ONCE)
        return [(goal, machines.find(tx, goal.machine_id)) for goal in due]


async def _work(
    store: Store, keyring: Keyring, clock: Callable[[], datetime], goal: Goal, machine: Machine
) -> None:
    try:
        outcome = await _advance(goal, machine.power_driver, parameters_of(keyring, machine))
    except KeyringError as error:
        outcome = {"error": str(error), "permanent": True}
    except PowerError as error:
        outcome = {"error": str(error), "permanent": error.permanent}
    await asyncio.to_thread(_settle, store, goal, machine, outcome, clock())


async def _advance(goal: Goal, name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """One step towards the goal: look, and switch when it is not so yet.

    A cycle becomes the goal "on" as soon as the machine is seen off, before anything is switched
    on: whoever repeats a step after a crash cannot cut the power a second time.
    """
    driver = load(name)
    state = await driver.state(parameters)
    if goal.goal == "cycle":
        if state == "off":
            return {"goal": "on", "status": "sent", "detail": "is off"}
        await driver.off(parameters)
        return {"status": "sent", "detail": "switched off first"}
    if state == goal.goal:
        return {"status": "reached", "detail": f"power is {state}"}
    await (driver.on if goal.goal == "on" else driver.off)(parameters)
    return {"status": "sent", "detail": f"was {state}; switched {goal.goal}"}


def _settle(
    store: Store, goal: Goal, machine: Machine, outcome: dict[str, Any], now: datetime
) -> None:
    with store.write() as tx:
        machines.lock(tx, machine.id)
        if "error" in outcome:
            _failed(tx, goal, machine, outcome, now)
            return
        reached = outcome["status"] == "reached"
        if not reached and goal.deadline_at is not None and now >= goal.deadline_at:
            told = f"{outcome['detail']}, but the power state did not follow in time"
            _failed(tx, goal, machine, {"error": told, "permanent": True}, now)
            return
        switched_on_next = outcome.get("goal", goal.goal) != goal.goal
        due = None if reached else (now if switched_on_next else now + CONFIRM)
        if goals.settle(tx, goal, due_at=due, updated_at=now, **outcome) and reached:
            told = f"{machine.name}: {outcome['detail']}"
            events.add(tx, now, "power.reached", told, machine=machine.id)


def _failed(tx: Tx, goal: Goal, machine: Machine, outcome: dict[str, Any], now: datetime) -> None:
    over = outcome["permanent"] or (goal.deadline_at is not None and now >= goal.deadline_at)
    wait = timedelta(seconds=min(60, 2**goal.attempts))
    settled = goals.settle(
        tx,
        goal,
        status="failed" if over else goal.status,
        attempts=goal.attempts + 1,
        detail=outcome["error"],
        due_at=None if over else now + wait,
        updated_at=now,
    )
    if not settled or (goal.attempts and not over):
        return
    told = f"power {goal.goal} of {machine.name}: {outcome['error']}"
    events.add(tx, now, "power.failed", told, machine=machine.id)
    if over:
        _fail_waiting_run(tx, machine, told, now)


def _fail_waiting_run(tx: Tx, machine: Machine, reason: str, now: datetime) -> None:
    """A machine that cannot be switched on will not come: say so now, not at the deadline."""
    run = runs.open_of(tx, machine.id)
    if run is not None and run.state == "pending":
        run_verbs.fail_run(tx, run, now, reason=reason)
