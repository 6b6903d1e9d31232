# SPDX-License-Identifier: Apache-2.0
"""The verbs of a person: accept, deny, commission, abort, delete."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from muster.lifecycle import power, shelf
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.policy import Policy
from muster.lifecycle.shelf import Offer, Parameters
from muster.machine import names, states
from muster.machine.states import State
from muster.store import boots, events, machines, runs
from muster.store.engine import Conflict, Store, Tx
from muster.store.machines import Machine
from muster.store.runs import Run


@dataclass(frozen=True)
class Options:
    """`enable_ssh` keeps the machine on after the run, with the operator's SSH keys.

    `scripts` and `tests` are names and tags; no scripts: all but those tagged noauto; tests
    ["none"]: none. `destroy` is the machine's name, said again, when a script is destructive.
    `bmc_config`: "configure", "look" only, "skip" the script, or "": as the policy says.
    """

    enable_ssh: bool = False
    scripts: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=lambda: ["commissioning"])
    parameters: Parameters = field(default_factory=dict)
    destroy: str = ""
    bmc_config: str = ""


def start(
    store: Store, policy: Policy, reference: str, options: Options, *, actor: str, now: datetime
) -> int:
    """Put a machine into Commissioning and switch it on; returns the run's number.

    Raises store Missing and Conflict, states.Refused.
    """
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        return start_in(tx, policy, machine, options, actor=actor, now=now)


def start_in(
    tx: Tx, policy: Policy, machine: Machine, options: Options, *, actor: str, now: datetime
) -> int:
    """As `start`, in the transaction of a caller who has locked the machine."""
    states.check(State(machine.state), State.COMMISSIONING)
    if not options.bmc_config:
        decided = "configure" if policy.bmc_config else "look"
        options = replace(options, bmc_config=decided)
    offers = _offers(tx, options)
    run = begin(tx, policy, machine, "commission", offers, options, actor=actor, now=now)
    machines.update(tx, machine.id, permitted=True, denied_reason="")
    run_verbs.change_state(tx, machine, State.COMMISSIONING, now, reason=f"run {run}", actor=actor)
    power.want(tx, policy, machine, "cycle", now, why="commissioning", boot_device=power.NETWORK)
    return run


def _offers(tx: Tx, options: Options) -> list[Offer]:
    """The commissioning scripts and tests that are chosen.

    That no test is tagged `commissioning` is no mistake of the caller's.
    """
    wanted = options.tests
    if wanted == ["commissioning"]:
        enabled = (offer.script for offer in shelf.every(tx) if offer.enabled)
        tests = (script for script in enabled if script.script_type == "testing")
        wanted = [test.name for test in tests if "commissioning" in test.tags]
    scripts = shelf.for_commission(tx, options.scripts)
    if options.bmc_config == "skip":
        scripts = [offer for offer in scripts if "bmc-config" not in offer.script.tags]
    return [*scripts, *shelf.for_tests(tx, wanted)]


def lost(
    tx: Tx, policy: Policy, run: Run, now: datetime, *, reason: str, boot: str | None = None
) -> None:
    """The machine of an open run is silent: the whole is tried again, or the run has failed.

    Tried again means a new run and the power cut and given back; what the lost run has is kept.
    A machine that only a person can switch is not waited for a second time.
    """
    machine = machines.find_for_update(tx, run.machine_id)
    if runs.find(tx, run.id).state not in runs.OPEN:
        return
    tried = run.options.get("retries", 0)
    again = run.mode == "commission" and machine.state == State.COMMISSIONING
    if not again or tried >= policy.commission_retries or machine.power_driver == "manual":
        run_verbs.fail_run(tx, run, now, reason=reason, boot=boot)
        return
    asked = Options(**run.options["asked"])
    try:
        offers = _offers(tx, asked)
        _refuse_loss(machine, offers, asked)
    except Conflict as conflict:
        # What was asked for is there no more: this machine's failure, not that of every deadline.
        told = f"{reason} (not tried again: {conflict})"
        run_verbs.fail_run(tx, run, now, reason=told, boot=boot)
        return
    run_verbs.close(tx, run, now, state="failed", reason=reason, lost="lost")
    new = begin(
        tx, policy, machine, "commission", offers, asked, actor=run.requested_by,
        now=now, retries=tried + 1, previous=run.options["previous"],
    )  # fmt: skip
    told = f"try {tried + 2} of {policy.commission_retries + 1} as run {new}: {reason}"
    machines.update(tx, machine.id, state_reason=told[:2048], updated_at=now)
    events.add(tx, now, "run.retried", f"{machine.name}: {told}", machine=machine.id, boot=boot)
    told = "commissioning is tried again"
    power.want(tx, policy, machine, "cycle", now, why=told, boot_device=power.NETWORK)


def begin(
    tx: Tx, policy: Policy, machine: Machine, mode: str, offers: list[Offer], options: Options,
    *, actor: str, now: datetime, retries: int = 0, previous: str = "",
) -> int:  # fmt: skip
    """Open a run of the offered scripts; raises Conflict when a disk would be lost unasked."""
    _refuse_loss(machine, offers, options)
    if (owed := runs.open_of(tx, machine.id)) is not None:
        reason = "commissioning" if mode == "commission" else "testing"
        run_verbs.close(tx, owed, now, state="aborted", reason=reason, lost="aborted")
    return run_verbs.open_run(
        tx,
        machine,
        mode,
        now,
        offers=offers,
        parameters=options.parameters,
        actor=actor,
        options={"enable_ssh": options.enable_ssh, "previous": previous or machine.state,
                 "asked": asdict(options), "retries": retries},
        deadline=now + timedelta(seconds=policy.arrive_s),
    )  # fmt: skip


def _refuse_loss(machine: Machine, offers: list[Offer], options: Options) -> None:
    destructive = [offer.script.name for offer in offers if offer.script.destructive]
    if destructive and options.destroy not in (machine.name, machine.id):
        raise Conflict(
            f"{', '.join(destructive)} would destroy what is on {machine.name}'s disks;"
            f" confirm by destroy: {machine.name}"
        )


def abort(store: Store, policy: Policy, reference: str, *, actor: str, now: datetime) -> None:
    """End what the machine is doing and give it its former state back."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        run = runs.open_of(tx, machine.id)
        if run is None:
            raise Conflict(f"{machine.name} is {machine.state} and runs nothing to abort")
        reason = f"aborted by {actor}"
        run_verbs.close(tx, run, now, state="aborted", reason=reason, lost="aborted")
        events.add(tx, now, "run.aborted", f"run {run.id} {reason}", actor=actor,
                   machine=machine.id)  # fmt: skip
        if machine.state in states.WORKING:
            previous = State(run.options.get("previous", State.NEW))
            run_verbs.change_state(tx, machine, previous, now, reason=reason, actor=actor)
            if not boots.open_of_machine(tx, machine.id):
                power.want(tx, policy, machine, "off", now, why="the run was aborted")


def accept(store: Store, reference: str, *, actor: str, now: datetime) -> None:
    """Permit a machine to send its data."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        machines.update(tx, machine.id, permitted=True, denied_reason="", updated_at=now)
        told = f"{machine.name} may send its data"
        events.add(tx, now, "machine.accepted", told, actor=actor, machine=machine.id)


def deny(store: Store, reference: str, *, reason: str, actor: str, now: datetime) -> None:
    """Refuse a New machine: it powers off and is not booted again."""
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if machine.state != State.NEW:
            raise Conflict(f"{machine.name} is {machine.state}; only a New machine can be denied")
        why = reason or f"denied by {actor}"
        machines.update(tx, machine.id, permitted=False, denied_reason=why, updated_at=now)
        told = f"{machine.name}: {why}"
        events.add(tx, now, "machine.denied", told, actor=actor, machine=machine.id)


def rename(store: Store, reference: str, name: str, *, actor: str, now: datetime) -> None:
    """Give a machine another name; raises Conflict when it is taken or no DNS label."""
    with store.write() as tx:
        rename_in(tx, machines.find_for_update(tx, reference), name, actor=actor, now=now)


def rename_in(tx: Tx, machine: Machine, name: str, *, actor: str, now: datetime) -> None:
    """As `rename`, in the caller's transaction."""
    if not names.valid(name):
        raise Conflict(f"name {name!r} is no DNS label (a-z, 0-9 and -, at most 63)")
    machines.rename(tx, machine.id, name, now=now)
    told = f"{machine.name} is now called {name}"
    events.add(tx, now, "machine.renamed", told, actor=actor, machine=machine.id)


def delete(store: Store, reference: str, *, actor: str, now: datetime) -> None:
    """Forget a machine; its events stay. It enlists anew when it boots."""
    with store.write() as tx:
        boots.lock_of_machine(tx, machines.find(tx, reference).id)
        machine = machines.find_for_update(tx, reference)
        if machine.state == State.IN_USE:
            raise Conflict(f"{machine.name} is In use; take it out of use before deleting it")
        told = f"{machine.name} was deleted"
        events.add(tx, now, "machine.deleted", told, actor=actor, machine=machine.id)
        machines.delete(tx, machine.id)
