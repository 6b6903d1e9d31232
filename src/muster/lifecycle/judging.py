# SPDX-License-Identifier: Apache-2.0
"""A person says that a machine is broken, or that it is mended."""

from datetime import datetime

from muster.lifecycle import runs as run_verbs
from muster.machine import states
from muster.machine.states import State
from muster.store import machines
from muster.store.engine import Conflict, Store

_LIMIT = 2000


def broken(store: Store, reference: str, *, reason: str, actor: str, now: datetime) -> None:
    """Nothing starts by itself on a Broken machine. Raises Conflict while it works."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if machine.state in states.WORKING:
            raise Conflict(f"{machine.name} is {machine.state}; abort that first")
        told = f"marked broken by {actor}" + (f": {reason[:_LIMIT]}" if reason else "")
        run_verbs.change_state(tx, machine, State.BROKEN, now, reason=told, actor=actor)


def fixed(store: Store, reference: str, *, reason: str, actor: str, now: datetime) -> None:
    """A Broken machine is Ready again; raises Conflict for any other."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if machine.state != State.BROKEN:
            raise Conflict(f"{machine.name} is {machine.state}; only a Broken machine is mended")
        told = f"marked fixed by {actor}" + (f": {reason[:_LIMIT]}" if reason else "")
        run_verbs.change_state(tx, machine, State.READY, now, reason=told, actor=actor)
