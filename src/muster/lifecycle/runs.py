# SPDX-License-Identifier: Apache-2.0
"""Opens runs, hands them to the agent, ends them, and draws the conclusion for the machine."""

from datetime import datetime, timedelta
from typing import Any

from muster.lifecycle import secrets
from muster.lifecycle.policy import Policy
from muster.lifecycle.timeline import reach
from muster.machine import states
from muster.machine.phases import Phase
from muster.machine.states import State
from muster.scripts import catalogue
from muster.scripts.format import Script
from muster.store import boots, events, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Tx
from muster.store.machines import Machine
from muster.store.runs import Result, Run
from muster.wire.hello import ScriptItem, Welcome

_PASSED = "passed"


def open_run(
    tx: Tx,
    machine: Machine,
    mode: str,
    now: datetime,
    *,
    scripts: list[Script],
    actor: str = "",
    options: dict[str, Any] | None = None,
    deadline: datetime | None = None,
) -> int:
    """A run that the machine owes; the scripts' exact bytes are kept with it."""
    run = runs.add(
        tx,
        machine_id=machine.id,
        mode=mode,
        state="pending",
        reason="",
        options=options or {},
        requested_by=actor,
        created_at=now,
        deadline_at=deadline,
    )
    for position, script in enumerate(scripts):
        runs.keep_script(tx, script.sha256, script.source)
        runs.add_result(
            tx,
            run_id=run,
            position=position,
            name=script.name,
            script_type=script.script_type,
            sha256=script.sha256,
            timeout_s=float(script.timeout),
        )
    return run


def welcome(tx: Tx, policy: Policy, boot: Boot, machine: Machine, now: datetime) -> Welcome:
    """The run for this boot and a fresh token; asking again gives the same run."""
    run = _run_for(tx, boot, machine, now)
    token = secrets.new()
    values = {"token_hash": secrets.digest(token), "run_id": run.id}
    boots.update(tx, boot.id, deadline_at=silence(now, policy), **values)
    if run.state == "pending":
        runs.update(tx, run.id, state="running", started_at=now, deadline_at=None)
    items = [
        ScriptItem(
            result=result.id,
            name=result.name,
            sha256=result.sha256,
            script_type=result.script_type,
            timeout_s=result.timeout_s,
            done=result.state not in runs.OPEN,
        )
        for result in runs.results_of(tx, run.id)
    ]
    return Welcome(
        "run",
        token=token,
        machine=machine.name,
        mode=run.mode,  # type: ignore[arg-type]
        scripts=items,
        heartbeat_s=policy.heartbeat_s,
        output_limit=policy.output_limit,
        after="stay" if run.options.get("enable_ssh") else "poweroff",
    )


def _run_for(tx: Tx, boot: Boot, machine: Machine, now: datetime) -> Run:
    if boot.run_id is not None:
        return runs.find(tx, boot.run_id)
    owed = runs.open_of(tx, machine.id)
    if owed is not None:
        _end_boots(tx, owed, now)
    if owed is not None and (owed.mode != "enlist" or owed.state == "pending"):
        # What ran when the machine went down is not run twice: it may have been half-way
        # through something, and two outputs in one result would be nobody's.
        reason = "the machine started again while this script ran"
        runs.end_running_results(tx, owed.id, reason=reason, now=now)
        return owed
    if owed is not None:
        close(tx, owed, now, state="failed", reason="the machine started again", lost="lost")
    # A machine that we know and that owes nothing may still tell: a re-report is always kept.
    run = open_run(tx, machine, "enlist", now, scripts=catalogue.for_enlist())
    return runs.find(tx, run)


def _end_boots(tx: Tx, run: Run, now: datetime) -> None:
    """Another boot takes over: the silence of the old ones must not fail it, nor may they tell."""
    for old in boots.of_run(tx, run.id):
        ended = old.ended_at or now
        boots.update(tx, old.id, ended_at=ended, deadline_at=None, token_hash=None)


def close(tx: Tx, run: Run, now: datetime, *, state: str, reason: str, lost: str) -> None:
    """End a run; results still open become `lost` (a result state)."""
    runs.end_open_results(tx, run.id, state=lost, reason=reason, now=now)
    runs.update(tx, run.id, state=state, reason=reason, ended_at=now, deadline_at=None)


def finish(tx: Tx, boot: Boot, run: Run, now: datetime) -> None:
    """The agent said that this was all: conclude for the run, the boot and the machine."""
    results = runs.results_of(tx, run.id)
    if run.state in runs.OPEN:
        reason = _verdict(results)
        state = "failed" if reason else _PASSED
        close(tx, run, now, state=state, reason=reason or "every script passed", lost="lost")
        conclude(tx, runs.find(tx, run.id), now, reason=reason, boot=boot.id)
    final = runs.find(tx, run.id)
    reach(tx, boot, Phase.END, now, detail=f"{final.mode} {final.state}: {final.reason}")
    boots.update(tx, boot.id, ended_at=now, deadline_at=None)


def conclude(tx: Tx, run: Run, now: datetime, *, reason: str, boot: str | None = None) -> None:
    """What an ended run means for its machine; `reason` is empty when it passed."""
    machine = machines.find_for_update(tx, run.machine_id)
    if run.mode == "enlist":
        if not reason:
            machines.update(tx, machine.id, surveyed_at=now, updated_at=now)
        told = f"{machine.name} was surveyed" if not reason else f"survey failed: {reason}"
        if reason and machine.state == State.NEW:
            machines.update(tx, machine.id, state_reason=told[:2048], updated_at=now)
        events.add(tx, now, "run.enlist", told, machine=machine.id, boot=boot)
        return
    if machine.state not in states.WORKING:
        # A person changed the state meanwhile; the results are kept, the state is theirs.
        return
    if machine.state == State.TESTING:
        goal = State.FAILED_TESTING if reason else State.READY
    else:
        goal = State.FAILED_COMMISSIONING if reason else State.READY
    if not reason:
        machines.update(tx, machine.id, surveyed_at=now)
    change_state(tx, machine, goal, now, reason=reason or "commissioning passed", boot=boot)


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


def _verdict(results: list[Result]) -> str:
    """Empty when every script passed, else the first one that did not, and how many more."""
    bad = [result for result in results if result.state != _PASSED]
    if not bad:
        return ""
    first = bad[0]
    ended = first.exit_status is not None
    how = first.reason or (f"exit status {first.exit_status}" if ended else "it never ran")
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{first.name} {first.state.replace('_', ' ')}: {how}{more}"
