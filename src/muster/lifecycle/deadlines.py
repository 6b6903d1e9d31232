# SPDX-License-Identifier: Apache-2.0
"""Every phase has its own deadline; what is overdue gets a name, a reason and a remedy."""

from datetime import datetime

from muster.lifecycle import commission
from muster.lifecycle.policy import Policy
from muster.machine.phases import AFTER, Phase, Purpose
from muster.store import boots, events, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Store, Tx


def sweep(store: Store, policy: Policy, now: datetime) -> int:
    """End what is overdue; returns how many boots and runs that were."""
    with store.write() as tx:
        late = boots.overdue(tx, now)
        for boot in late:
            _boot_overdue(tx, policy, boot, now)
        waiting = runs.overdue(tx, now)
        for run in waiting:
            machine = machines.find(tx, run.machine_id)
            reason = f"{machine.name} did not start within its time: no DHCP or boot request"
            reason = f"{reason}; is it set to network boot?"
            commission.lost(tx, policy, run, now, reason=reason)
    return len(late) + len(waiting)


def _boot_overdue(tx: Tx, policy: Policy, boot: Boot, now: datetime) -> None:
    phase = Phase(boot.phase)
    if boot.acked_seq:
        phase = Phase.SCRIPTS
    seconds = (now - boot.phase_at).total_seconds()
    heard = boot.last_heard_at
    if phase == Phase.SCRIPTS and heard is not None:
        seconds = (now - heard).total_seconds()
    wait = AFTER.get(phase)
    remedy = wait.remedy if wait else "see its console"
    # An initrd that names its own failure knows more than our clock.
    reason = boot.failure or f"nothing heard for {seconds:.0f} s after {phase}: {remedy}"
    boots.mark(tx, boot.id, now, phase, "failed", reason)
    boots.update(tx, boot.id, ended_at=now, deadline_at=None, failure=reason)
    told = f"boot {boot.id}: {reason}"
    events.add(tx, now, "boot.overdue", told, machine=boot.machine_id, boot=boot.id)
    _lose_run_of(tx, policy, boot, reason, now)


def _lose_run_of(tx: Tx, policy: Policy, boot: Boot, reason: str, now: datetime) -> None:
    if boot.run_id is not None:
        run = runs.find(tx, boot.run_id)
    elif boot.machine_id is not None and boot.purpose in (Purpose.COMMISSION, Purpose.TEST):
        owed = runs.open_of(tx, boot.machine_id)
        if owed is None:
            return
        run = owed
    else:
        return
    if run.state in runs.OPEN:
        commission.lost(tx, policy, run, now, reason=reason, boot=boot.id)
    else:
        # Scripts that an agent told of after its run had ended.
        runs.end_open_results(tx, run.id, state="lost", reason=reason, now=now)
