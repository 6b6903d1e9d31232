# SPDX-License-Identifier: Apache-2.0
"""Switches machines until they are as wanted: one row a machine, one idempotent step at a time.

`want` writes the goal inside somebody's transaction; a `Switchboard` claims due rows together with
a lease on their BMC, asks the driver, and writes what happened and when to look again. A process
that dies in between loses nothing: the lease ends and the row is due again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import structlog

from muster.lifecycle import contact, secrets
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.contact import Contact
from muster.lifecycle.keyring import Keyring, KeyringError
from muster.lifecycle.policy import Policy
from muster.power import drivers
from muster.power.drivers import NoSuchBoot, PowerError
from muster.store import events, goals, machines, runs
from muster.store.engine import Conflict, Store, Tx
from muster.store.goals import Due, Goal, Limits
from muster.store.machines import Machine

log = structlog.get_logger("power")

# A step may take STEP; nobody else may begin before it is surely over.
STEP = timedelta(seconds=100)
LEASE = timedelta(seconds=120)
CONFIRM = timedelta(seconds=1)
# BMCs take seconds to follow a command; what was accepted and ignored is sent again after this.
RESEND = timedelta(seconds=20)
TICK_S = 0.25

NETWORK = "network"
"""A boot device that is wished for: from the network, by whatever way the BMC has. One that cannot

choose is switched on all the same: most machines that are to be commissioned try the network
first by themselves.
"""
_BOOT_TRIES = 3


@dataclass(frozen=True)
class Switchboard:
    """What a process needs to act on goals; `holder` names it in leases."""

    store: Store
    keyring: Keyring
    policy: Policy
    clock: Callable[[], datetime]
    holder: str = field(default_factory=lambda: secrets.new_id(12))


def want(
    tx: Tx,
    policy: Policy,
    machine: Machine,
    goal: str,
    now: datetime,
    *,
    why: str,
    boot_device: str = "",
) -> str:
    """Write the goal (on, off, cycle); a machine without a driver is told to a person, and "" is

    returned, else the operation.
    `boot_device`: one of drivers.BOOT_DEVICES, NETWORK, or "": as its firmware likes.
    """
    if machine.power_driver == "manual":
        told = f"switch {machine.name} {'on' if goal == 'cycle' else goal} by hand: {why}"
        events.add(tx, now, "power.manual", told, machine=machine.id)
        return ""
    deadline = now + timedelta(seconds=policy.power_s)
    wanted = goals.want(tx, machine.id, goal, now=now, deadline=deadline, boot_device=boot_device)
    told = f"power {goal} wanted for {machine.name}: {why}"
    events.add(tx, now, "power.wanted", told, machine=machine.id)
    return goals.operation(machine.id, wanted)


def ask(
    store: Store,
    policy: Policy,
    reference: str,
    goal: str,
    *,
    actor: str,
    now: datetime,
    boot_device: str = "",
) -> str:
    """A person's wish to switch a machine on, off or off and on, and from what it shall boot.

    Returns the operation as `want` does. Raises Conflict when its driver cannot choose that.
    """
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if boot_device and goal == "off":
            raise Conflict("a machine that is switched off boots from nothing; leave boot out")
        if boot_device and not drivers.booting(drivers.load(machine.power_driver)):
            raise Conflict(
                f"the power driver {machine.power_driver} cannot choose what {machine.name} boots"
                " from; leave boot out, or choose it at the machine"
            )
        why = f"asked by {actor}"
        return want(tx, policy, machine, goal, now, why=why, boot_device=boot_device)


async def work(board: Switchboard) -> None:
    """Act on goals until cancelled; a BMC that hangs delays no other one."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            begun = await _begin(board)
            running |= begun
            done = {task for task in running if task.done()}
            running -= done
            for task in done:
                if error := task.exception():
                    log.error("a power step failed", exc_info=error)
            await asyncio.sleep(TICK_S)
    finally:
        for task in running:
            task.cancel()


async def step(board: Switchboard) -> int:
    """Work on every goal that is due, side by side, to the end; returns how many there were."""
    ended = await asyncio.gather(*await _begin(board), return_exceptions=True)
    for mistake in ended:
        # Not before every other machine's step is over.
        if mistake is not None:
            raise mistake
    return len(ended)


async def _begin(board: Switchboard) -> set[asyncio.Task[None]]:
    try:
        due = await asyncio.to_thread(_claim, board)
    except Exception as error:  # The database may be away for a while.
        log.error("power goals cannot be read", exc_info=error)
        return set()
    return {asyncio.create_task(_work(board, one, machine)) for one, machine in due}


def _claim(board: Switchboard) -> list[tuple[Due, Machine]]:
    limits = Limits(board.policy.power_at_once, board.policy.power_a_subnet)
    with board.store.write() as tx:
        board.store.one_at_a_time(tx)
        due = goals.claim_due(
            tx,
            now=board.clock(),
            lease=LEASE,
            limits=limits,
            subnet_of=subnet_of,
            # Each claim is its own: a later lease of the same process is not an earlier one's.
            holder=f"{board.holder}{secrets.new_id(12)}",
        )
        return [(one, machines.find(tx, one.goal.machine_id)) for one in due]


def subnet_of(bmc: str) -> str:
    """The /24 or /64 of a BMC's address, or its name."""
    host = bmc.partition(" ")[0].partition("://")[2] or bmc.partition(" ")[0]
    host = host.partition("/")[0].rpartition("@")[2]
    name = host.partition("]")[0].strip("[") if "]" in host else host
    name = name.partition(":")[0] if name.count(":") == 1 else name
    try:
        address = ip_address(name)
    except ValueError:
        return name[:64]
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


async def _work(board: Switchboard, due: Due, machine: Machine) -> None:
    try:
        async with asyncio.timeout(STEP.total_seconds()):
            reached = await contact.reach(board.store, board.keyring, machine, board.clock)
            outcome = await _advance(board, due, reached)
    except KeyringError as error:
        outcome = {"error": str(error), "permanent": True}
    except TimeoutError:
        outcome = {"error": f"not done within {STEP.total_seconds():g} s", "permanent": False}
    except PowerError as error:
        outcome = {"error": str(error), "permanent": error.permanent, "wait": error.retry_after}
    await asyncio.to_thread(_settle, board.store, due, machine, outcome, board.clock())


async def _advance(board: Switchboard, due: Due, reached: Contact) -> dict[str, Any]:
    """One step towards the goal: look, and switch when it is not so yet.

    A cycle becomes the goal "on" as soon as the machine is seen off, before anything is switched
    on: whoever repeats a step after a crash cannot cut the power a second time.
    """
    goal, state = due.goal, (await reached.look()).state
    if goal.goal == "cycle" and state == "off":
        return {"goal": "on", "status": "sent", "detail": "is off", "sent_at": None, "sends": 0}
    if state == goal.goal:
        return {"status": "reached", "detail": f"power is {state}"}
    now = board.clock()
    late = goal.deadline_at is not None and now >= goal.deadline_at
    if goal.sent_at is not None and (late or now < goal.sent_at + RESEND):
        return {"status": "sent", "detail": _ignored(goal, state)}
    if late:
        return {"status": "sent", "detail": f"says {state} at the end of its time"}
    if not await asyncio.to_thread(_still_held, board, due, now):
        raise PowerError("this step took too long; another server goes on with it")
    verb = "on" if goal.goal == "on" else "off"
    if goal.boot_device and verb == "off" and goal.sent_at is None:
        # No power is cut for a boot that will be refused.
        await drivers.check_boot(reached.driver, reached.parameters, goal.boot_device)
    note = await _switch(reached, goal, verb)
    if drivers.blind(reached.driver):
        return {"status": "reached", "detail": f"{verb} was sent; nobody can see whether it worked"}
    word = "switched off first" if goal.goal == "cycle" else f"was {state}; switched {verb}"
    sent = {"status": "sent", "detail": word, "sent_at": now, "sends": goal.sends + 1}
    return sent | {"note": note}


def _ignored(goal: Goal, state: str) -> str:
    verb = "on" if goal.goal == "on" else "off"
    times = "once" if goal.sends == 1 else f"{goal.sends} times"
    return (
        f"the BMC accepted {verb!r} {times} and still says {state}; look at the machine itself,"
        " or restart its BMC"
    )


async def _switch(reached: Contact, goal: Goal, verb: str) -> str:
    """Returns what could not be done, in words."""
    note = await _set_boot(reached, goal) if verb == "on" else ""
    await (reached.driver.on if verb == "on" else reached.driver.off)(reached.parameters)
    return note


async def _set_boot(reached: Contact, goal: Goal) -> str:
    booting = drivers.booting(reached.driver)
    if not goal.boot_device or not booting:
        return ""
    if goal.boot_device != NETWORK:
        try:
            await booting.set_boot(reached.parameters, goal.boot_device)
        except NoSuchBoot as error:
            raise PowerError(str(error), permanent=True) from error
        return ""
    why = ""
    for device in ("pxe", "http"):
        try:
            await booting.set_boot(reached.parameters, device)
        except NoSuchBoot as error:
            why = why or str(error)
            continue
        except PowerError as error:
            if error.permanent or goal.attempts < _BOOT_TRIES:
                raise
            why = str(error)
            break
        return ""
    return f"its BMC did not take the network as boot device, its firmware decides: {why}"


def _still_held(board: Switchboard, due: Due, now: datetime) -> bool:
    """A process that was stopped for long must not act beside the one that took over."""
    with board.store.write() as tx:
        return goals.still_held(tx, due, until=now + LEASE)


def _settle(
    store: Store, due: Due, machine: Machine, outcome: dict[str, Any], now: datetime
) -> None:
    goal = due.goal
    note = outcome.pop("note", "")
    with store.write() as tx:
        machines.lock(tx, machine.id)
        goals.release(tx, due)
        if note:
            told = f"{machine.name}: {note}"
            events.add(tx, now, "power.boot_device", told, machine=machine.id)
        if "error" in outcome:
            _failed(tx, goal, machine, outcome, now)
            return
        reached = outcome["status"] == "reached"
        if not reached and goal.deadline_at is not None and now >= goal.deadline_at:
            _failed(tx, goal, machine, {"error": outcome["detail"], "permanent": True}, now)
            return
        switched_on_next = outcome.get("goal", goal.goal) != goal.goal
        next_look = None if reached else (now if switched_on_next else now + _pause(goal, now))
        if goals.settle(tx, goal, due_at=next_look, updated_at=now, **outcome) and reached:
            told = f"{machine.name}: {outcome['detail']}"
            events.add(tx, now, "power.reached", told, machine=machine.id)


def _pause(goal: Goal, now: datetime) -> timedelta:
    """Soon after a command, then less and less often, 5 s at most."""
    since = now - goal.sent_at if goal.sent_at else timedelta(0)
    return min(max(CONFIRM, since / 2), timedelta(seconds=5))


def _failed(tx: Tx, goal: Goal, machine: Machine, outcome: dict[str, Any], now: datetime) -> None:
    over = outcome["permanent"] or (goal.deadline_at is not None and now >= goal.deadline_at)
    wait = timedelta(seconds=outcome.get("wait") or min(60, 2**goal.attempts))
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
