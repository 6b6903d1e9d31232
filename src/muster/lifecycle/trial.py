# SPDX-License-Identifier: Apache-2.0
"""Tries a script that is on no shelf: one run of it alone, judged as any other run is."""

from datetime import datetime

from muster.lifecycle import commission, scripts, shelf
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.commission import Options
from muster.lifecycle.policy import Policy
from muster.lifecycle.shelf import Offer, Parameters
from muster.lifecycle.survey import RESOURCES
from muster.machine import states
from muster.machine.states import State
from muster.store import machines
from muster.store.engine import Store

_LOOKS = (RESOURCES, "00-maas-04-list-modaliases")
"""What a script may need to be chosen, and finds in $MAAS_RESOURCES_FILE."""


def start(
    store: Store,
    policy: Policy,
    reference: str,
    source: bytes,
    *,
    name: str = "",
    parameters: Parameters | None = None,
    actor: str,
    now: datetime,
) -> int:
    """Commission a machine that waits for its permission with this script; returns the run.

    What is on its disks may be lost. Raises scripts.BadScript, store Missing and Conflict,
    states.Refused.
    """
    script = scripts.read(source, name)
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        states.check(State(machine.state), State.COMMISSIONING)
        looks = [o for o in shelf.for_commission(tx, []) if o.script.name in _LOOKS]
        offers = [*looks, Offer(script, version=1)]
        options = Options(parameters=parameters or {}, destroy=machine.name)
        run = commission.begin(
            tx, policy, machine, "commission", offers, options, actor=actor, now=now
        )
        machines.update(tx, machine.id, permitted=True)
        reason = f"run {run} tries {script.name}"
        run_verbs.change_state(tx, machine, State.COMMISSIONING, now, reason=reason, actor=actor)
    return run
