# SPDX-License-Identifier: Apache-2.0
"""Opens runs, hands them to the agent, ends them, and draws the conclusion for the machine."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from muster.lifecycle import plan, secrets, shelf
from muster.lifecycle.policy import Policy
from muster.lifecycle.shelf import Offer, Parameters
from muster.lifecycle.survey import RESOURCES
from muster.lifecycle.timeline import reach
from muster.machine import states
from muster.machine.phases import Phase
from muster.machine.states import State
from muster.store import boots, events, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.store.runs import Result, Run
from muster.wire.hello import Plan, Welcome

_PASSED = "passed"
STARTS_LIMIT = 10
"""Boots in which one script that may reboot is started; one that always reboots would never end."""


def open_run(
    tx: Tx,
    machine: Machine,
    mode: str,
    now: datetime,
    *,
    offers: list[Offer],
    parameters: Parameters | None = None,
    actor: str = "",
    options: dict[str, Any] | None = None,
    deadline: datetime | None = None,
) -> int:
    """A run that the machine owes; the scripts' exact bytes are kept with it.

    Raises Conflict for parameters that do not fit.
    """
    given = parameters or {}
    plan.check_parameters(offers, given)
    run = runs.add(
        tx,
        machine_id=machine.id,
        mode=mode,
        state="pending",
        reason="",
        options={},
        requested_by=actor,
        created_at=now,
        deadline_at=deadline,
    )
    kept = plan.begin(tx, run, offers, given)
    runs.update(tx, run, options={**(options or {}), **kept})
    return run


def welcome(tx: Tx, policy: Policy, boot: Boot, machine: Machine, now: datetime) -> Welcome:
    """The run for this boot and a fresh token; asking again gives the same run."""
    run = _run_for(tx, boot, machine, now)
    token = secrets.new()
    values = {"token_hash": secrets.digest(token), "run_id": run.id}
    boots.update(tx, boot.id, deadline_at=silence(now, policy), **values)
    if run.state == "pending":
        runs.update(tx, run.id, state="running", started_at=now, deadline_at=None)
    return Welcome(
        "run",
        token=token,
        machine=machine.name,
        mode=run.mode,  # type: ignore[arg-type]
        scripts=plan.items(tx, run.id),
        bodies=plan.bodies(tx, run.id),
        heartbeat_s=policy.heartbeat_s,
        output_limit=policy.output_limit,
        after="stay" if run.options.get("enable_ssh") else "poweroff",
    )


def next_plan(tx: Tx, boot: Boot, run: Run, now: datetime) -> Plan:
    """What the run owes now that its scripts have ended; tests make the machine Testing."""
    if plan.grow(tx, run):
        machine = machines.find_for_update(tx, run.machine_id)
        if machine.state == State.COMMISSIONING:
            reason = "commissioning passed; the tests run"
            change_state(tx, machine, State.TESTING, now, reason=reason, boot=boot.id)
    return Plan(plan.items(tx, run.id), plan.bodies(tx, run.id))


def _run_for(tx: Tx, boot: Boot, machine: Machine, now: datetime) -> Run:
    if boot.run_id is not None:
        return runs.find(tx, boot.run_id)
    owed = runs.open_of(tx, machine.id)
    if owed is not None:
        _end_boots(tx, owed, now)
    if owed is not None and (owed.mode != "enlist" or owed.state == "pending"):
        # What ran when the machine went down is not run twice: it may have been half-way
        # through something, and two outputs in one result would be nobody's.
        _end_interrupted(tx, owed, now)
        return owed
    if owed is not None:
        close(tx, owed, now, state="failed", reason="the machine started again", lost="lost")
    # A machine that we know and that owes nothing may still tell: a re-report is always kept.
    run = open_run(tx, machine, "enlist", now, offers=shelf.for_enlist(tx))
    return runs.find(tx, run)


def _end_interrupted(tx: Tx, run: Run, now: datetime) -> None:
    """A script that may reboot goes on in this boot; every other one that ran is lost."""
    for result in runs.interrupted(tx, run.id):
        if result.spec.get("may_reboot") and result.attempts < STARTS_LIMIT:
            runs.update_result(tx, result.id, state="pending")
            continue
        reason = "the machine started again while this script ran"
        if result.spec.get("may_reboot"):
            reason = f"it was started {result.attempts} times and rebooted each time"
        runs.update_result(tx, result.id, state="lost", reason=reason, ended_at=now)


def _end_boots(tx: Tx, run: Run, now: datetime) -> None:
    """Another boot takes over: the silence of the old ones must not fail it, nor may they tell."""
    for old in boots.of_run(tx, run.id):
        ended = old.ended_at or now
        boots.update(tx, old.id, ended_at=ended, deadline_at=None, token_hash=None)


def close(tx: Tx, run: Run, now: datetime, *, state: str, reason: str, lost: str) -> Run:
    """End a run; results still open become `lost` (a result state)."""
    runs.end_open_results(tx, run.id, state=lost, reason=reason, now=now)
    values: dict[str, Any] = {"state": state, "reason": reason, "ended_at": now}
    runs.update(tx, run.id, deadline_at=None, **values)
    return replace(run, deadline_at=None, **values)


def finish(tx: Tx, boot: Boot, run: Run, results: list[Result], now: datetime) -> Run:
    """The agent said that this was all: conclude for the run, the boot and the machine."""
    if run.state in runs.OPEN:
        reason = _verdict(run, results)
        state = "failed" if reason else _PASSED
        run = close(tx, run, now, state=state, reason=reason or "every script passed", lost="lost")
        conclude(tx, run, now, reason=reason, boot=boot.id)
    reach(tx, boot, Phase.END, now, detail=f"{run.mode} {run.state}: {run.reason}")
    boots.update(tx, boot.id, ended_at=now, deadline_at=None)
    return run


def conclude(tx: Tx, run: Run, now: datetime, *, reason: str, boot: str | None = None) -> None:
    """What an ended run means for its machine; `reason` is empty when it passed."""
    machine = machines.find_for_update(tx, run.machine_id)
    if run.mode == "enlist":
        if not reason:
            machines.update(tx, machine.id, surveyed_at=now, seen_at=now, updated_at=now)
        told = f"{machine.name} was surveyed" if not reason else f"survey failed: {reason}"
        if reason and machine.state == State.NEW:
            machines.update(tx, machine.id, state_reason=told[:2048], updated_at=now)
        events.add(tx, now, "run.enlist", told, machine=machine.id, boot=boot)
        return
    if machine.state not in states.WORKING:
        # A person changed the state meanwhile; the results are kept, the state is theirs.
        return
    goal = _goal(run, machine, failed=bool(reason))
    if not reason:
        machines.update(tx, machine.id, surveyed_at=now, seen_at=now)
    passed = "tests passed" if run.mode == "test" else "commissioning passed"
    change_state(tx, machine, goal, now, reason=reason or passed, boot=boot)


def _goal(run: Run, machine: Machine, *, failed: bool) -> State:
    if failed:
        testing = machine.state == State.TESTING
        return State.FAILED_TESTING if testing else State.FAILED_COMMISSIONING
    # A person called it Broken: passed tests are a reason to look again, not an all-clear.
    broken = run.mode == "test" and run.options.get("previous") == State.BROKEN
    return State.BROKEN if broken else State.READY


def change_state(
    tx: Tx,
    machine: Machine,
    goal: State,
    now: datetime,
    *,
    reason: str,
    actor: str = "",
    boot: str | None = None,
) -> None:
    """The one place where a state changes; raises states.Refused."""
    states.check(State(machine.state), goal)
    machines.update(tx, machine.id, state=goal, state_reason=reason[:2048], updated_at=now)
    told = f"{machine.name}: {machine.state} -> {goal}: {reason}"
    events.add(tx, now, "machine.state", told, actor=actor, machine=machine.id, boot=boot)


def fail_run(tx: Tx, run: Run, now: datetime, *, reason: str, boot: str | None = None) -> None:
    """The run cannot go on; what it has is kept. Nothing happens when it has ended meanwhile."""
    machines.lock(tx, run.machine_id)
    if runs.find(tx, run.id).state not in runs.OPEN:
        return
    close(tx, run, now, state="failed", reason=reason, lost="lost")
    conclude(tx, run, now, reason=reason, boot=boot)


def silence(now: datetime, policy: Policy) -> datetime:
    """When an agent that says nothing more has failed."""
    return now + timedelta(seconds=policy.silence_s)


def _verdict(run: Run, results: list[Result]) -> str:
    """Empty when the run passed, else the first script that did not, and how many more."""
    bad = [result for result in results if not plan.counts_as_good(result)]
    if not bad:
        if run.mode == "enlist" or any(
            r.name == RESOURCES and r.state in (_PASSED, "degraded") for r in results
        ):
            return ""
        return f"the resources were not read: {RESOURCES} did not run"
    first = bad[0]
    ended = first.exit_status is not None
    how = first.reason or (f"exit status {first.exit_status}" if ended else "it never ran")
    where = f" on {first.device}" if first.device else ""
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{first.name}{where} {first.state.replace('_', ' ')}: {how}{more}"
