# SPDX-License-Identifier: Apache-2.0
"""Testing on demand, and a person's judgement of what a test said."""

from datetime import datetime

from muster.lifecycle import commission, power, shelf
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.commission import Options
from muster.lifecycle.policy import Policy
from muster.lifecycle.survey import RESOURCES
from muster.machine import states
from muster.machine.states import State
from muster.store import events, machines, runs
from muster.store.engine import Conflict, Store

_NOTE_LIMIT = 2000


def start(
    store: Store, policy: Policy, reference: str, options: Options, *, actor: str, now: datetime
) -> int:
    """Put a machine into Testing and switch it on; returns the run's number.

    The resources are read again first: a disk may have another name in every boot. Raises store
    Missing and Conflict, states.Refused.
    """
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        states.check(State(machine.state), State.TESTING)
        tests = shelf.for_tests(tx, options.tests)
        if not tests:
            raise Conflict("no test was chosen; name tests or tags (quick, standard, burn-in)")
        look = [o for o in shelf.for_commission(tx, []) if o.script.name == RESOURCES]
        run = commission.begin(
            tx, policy, machine, "test", [*look, *tests], options, actor=actor, now=now
        )
        reason = f"run {run}"
        run_verbs.change_state(tx, machine, State.TESTING, now, reason=reason, actor=actor)
        power.want(tx, policy, machine, "cycle", now, why="testing", boot_device=power.NETWORK)
    return run


def override(store: Store, reference: str, *, reason: str, actor: str, now: datetime) -> None:
    """Call a machine that failed its tests Ready, for a reason that stays on its record."""
    if not reason.strip():
        raise Conflict("an override needs a reason")
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if machine.state != State.FAILED_TESTING:
            raise Conflict(f"{machine.name} is {machine.state}; only Failed testing is overridden")
        told = f"failed tests overridden by {actor}: {reason[:_NOTE_LIMIT]}"
        run_verbs.change_state(tx, machine, State.READY, now, reason=told, actor=actor)


def suppress(store: Store, result: int, *, reason: str, actor: str, now: datetime) -> None:
    """Do not count a result in what is shown of its machine; an empty reason counts it again."""
    with store.write() as tx:
        found = runs.find_result(tx, result)
        if found.state in runs.OPEN:
            raise Conflict(f"result {result} has not ended")
        machine = runs.find(tx, found.run_id).machine_id
        runs.update_result(tx, result, suppressed=reason[:_NOTE_LIMIT])
        told = f"result {result} ({found.name}) " + (
            f"is suppressed: {reason[:_NOTE_LIMIT]}" if reason else "counts again"
        )
        events.add(tx, now, "result.suppressed", told, actor=actor, machine=machine)
