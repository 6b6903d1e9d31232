# SPDX-License-Identifier: Apache-2.0
"""Looks at every machine's power state again and again, and tells what changed by itself.

A machine whose state changed lately is looked at more often, a BMC that does not answer less and
less often; each machine has its own small part of the interval added, so that not all are asked at
once. Nothing is ever switched here.
"""

import asyncio
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from muster.lifecycle import contact
from muster.lifecycle.contact import Pollers
from muster.lifecycle.keyring import KeyringError
from muster.lifecycle.power import STEP, TICK_S, Switchboard
from muster.power.drivers import PowerError, Seen
from muster.store import boots, events, power_states, runs
from muster.store.engine import Tx
from muster.store.goals import Goal
from muster.store.machines import Machine
from muster.store.power_states import PowerState

log = structlog.get_logger("polling")

AT_ONCE = 400
LEASE = timedelta(seconds=150)
LIVELY = timedelta(minutes=5)
LONGEST = timedelta(hours=1)


@dataclass(frozen=True)
class Look:
    """One look's outcome: `seen`, or the error."""

    before: PowerState
    machine: Machine
    seen: Seen | None
    error: str = ""
    permanent: bool = False
    wait: float | None = None


async def work(board: Switchboard) -> None:
    """Poll until cancelled; a dead BMC delays no live one."""
    running: set[asyncio.Task[Look]] = set()
    pollers = Pollers()
    first = True
    try:
        while True:
            done = {task for task in running if task.done()}
            running -= done
            try:
                free = AT_ONCE - len(running)
                running |= await _turn(board, pollers, done, free=free, first=first)
                first = False
            except Exception as error:  # The database may be away for a while.
                log.error("polling cannot go on now", exc_info=error)
            await asyncio.sleep(TICK_S)
    finally:
        for task in running:
            task.cancel()
        await pollers.close()


async def _turn(
    board: Switchboard, pollers: Pollers, done: set[asyncio.Task[Look]], *, free: int, first: bool
) -> set[asyncio.Task[Look]]:
    looks = []
    for task in done:
        if error := task.exception():
            log.error("a look at a BMC failed", exc_info=error)
        else:
            looks.append(task.result())
    due = await asyncio.to_thread(_exchange, board, looks, free=free, first=first)
    return {asyncio.create_task(_look(board, pollers, state, machine)) for state, machine in due}


async def sweep(board: Switchboard) -> int:
    """One look at everything that is due, to the end; returns how many there were."""
    pollers = Pollers()
    try:
        begun = await _turn(board, pollers, set(), free=AT_ONCE, first=True)
        if begun:
            await asyncio.wait(begun)
            looks = [task.result() for task in begun]
            await asyncio.to_thread(_exchange, board, looks, free=0, first=False)
    finally:
        await pollers.close()
    return len(begun)


def _exchange(
    board: Switchboard, looks: list[Look], *, free: int, first: bool
) -> list[tuple[PowerState, Machine]]:
    """Write what was seen and claim what is next, in one transaction."""
    now = board.clock()
    with board.store.write() as tx:
        still = power_states.still(tx, [look.before for look in looks])
        looks = [look for look in looks if look.machine.id in still]
        wanted = power_states.goals_of(tx, [look.machine.id for look in looks])
        heard = boots.heard(tx, [look.machine.id for look in looks])
        for number, look in enumerate(looks):
            looks[number] = look = _doubted(look, heard.get(look.machine.id))
            _tell(tx, look, wanted.get(look.machine.id), now)
        power_states.save(tx, [after(look, board.policy.poll_s, now) for look in looks])
        if first:
            power_states.enrol(tx, now=now)
        return power_states.claim_due(tx, now=now, lease=LEASE, limit=free) if free > 0 else []


async def _look(board: Switchboard, pollers: Pollers, state: PowerState, machine: Machine) -> Look:
    try:
        async with asyncio.timeout(STEP.total_seconds()):
            reached = await contact.reach(board.store, board.keyring, machine, board.clock)
            return Look(state, machine, await pollers.look(reached))
    except KeyringError as error:
        return Look(state, machine, None, str(error), permanent=True)
    except TimeoutError:
        return Look(state, machine, None, f"not done within {STEP.total_seconds():g} s")
    except PowerError as error:
        permanent, wait = error.permanent, error.retry_after
        return Look(state, machine, None, str(error), permanent=permanent, wait=wait)


def _doubted(look: Look, heard: tuple[datetime, datetime] | None) -> Look:
    """A BMC that said off, and says so again, while one and the same boot was heard in between."""
    said_at = look.before.seen_at
    if look.seen is None or look.seen.state != "off" or look.before.state != "off":
        return look
    if heard is None or said_at is None or not heard[0] < said_at < heard[1]:
        return look
    why = (
        "the BMC says off while the machine's agent is heard: it lies, or it is another machine's;"
        " check power_address and node_id, or restart the BMC"
    )
    return replace(look, seen=None, error=why)


def after(look: Look, poll_s: float, now: datetime) -> PowerState:
    """The row after a look. A wrong password is tried seldom: BMCs lock accounts."""
    share = zlib.crc32(look.machine.id.encode()) % 1000 / 10_000
    interval = timedelta(seconds=poll_s * (1 + share))
    if look.seen is None:
        failures = look.before.failures + 1
        wait = LONGEST if look.permanent else min(LONGEST, interval * 2 ** min(failures, 10))
        wait = max(wait, timedelta(seconds=look.wait or 0))
        return replace(look.before, failures=failures, error=look.error, due_at=now + wait)
    changed = now if look.seen.state != look.before.state else look.before.changed_at
    lively = changed is not None and now - changed < LIVELY
    return PowerState(
        look.machine.id,
        look.seen.state,
        look.seen.health,
        seen_at=now,
        changed_at=changed,
        due_at=now + (interval / 4 if lively else interval),
    )


def _tell(tx: Tx, look: Look, goal: Goal | None, now: datetime) -> None:
    name, before = look.machine.name, look.before
    if look.seen is None:
        if before.failures == 0:
            told = f"{name}: its power state cannot be seen: {look.error}"
            events.add(tx, now, "power.unseen", told, machine=look.machine.id)
        return
    if before.failures:
        told = f"{name}: its power state is seen again: {look.seen.state}"
        events.add(tx, now, "power.seen", told, machine=look.machine.id)
    if {before.state, look.seen.state} == {"on", "off"} and not _ours(goal, before, look.seen):
        run = runs.open_of(tx, look.machine.id)
        during = f", while run {run.id} was open" if run else ""
        told = (
            f"{name} is {look.seen.state} now and muster did not switch it{during}: a person, its"
            " BMC or its own system did"
        )
        events.add(tx, now, "power.changed", told, machine=look.machine.id)


def _ours(goal: Goal | None, before: PowerState, seen: Seen) -> bool:
    """True when the change is a goal's: on its way, or reached since the last look."""
    if goal is None:
        return False
    if goal.status in ("waiting", "sent"):
        return True
    lately = before.seen_at is None or goal.updated_at >= before.seen_at
    return goal.status == "reached" and lately and goal.goal == seen.state
