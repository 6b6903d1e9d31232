# SPDX-License-Identifier: Apache-2.0
"""Takes the agent's events: raw bytes first, in order, each exactly once.

The agent numbers its events; a batch is stored in one transaction together with the highest
number, so a repeat after a lost answer is seen and skipped, and a crash between the two cannot be.
"""

import base64
import binascii
from datetime import datetime

from muster.lifecycle import aftermath, applying, secrets
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.plan import GOOD
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.lifecycle.timeline import reach
from muster.lifecycle.verdict import REASON_LIMIT, judge
from muster.machine.phases import Phase
from muster.store import boots, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Store, Tx
from muster.store.runs import Result, Run
from muster.wire.codec import BadMessage
from muster.wire.events import RESULT_LIMIT, Ack, Batch, Event
from muster.wire.hello import Plan

MARKER_SPACE = 4096
"""Bytes for the agent's own marker beyond the limit."""
_MAY_CHANGE = (*runs.OPEN, "lost")
"""What has ended stays so, but what we gave up may turn out to have come to its end."""


def ingest(store: Store, policy: Policy, token: str, batch: Batch, now: datetime) -> Ack:
    """Store a batch; raises Forbidden for a token that is not this, BadMessage for nonsense."""
    with store.write() as tx:
        boot = session(tx, token)
        machines.lock(tx, runs.find(tx, boot.run_id or 0).machine_id)
        run = runs.find(tx, boot.run_id or 0)
        fresh = [event for event in batch.events if event.seq > boot.acked_seq]
        if boot.ended_at is not None and fresh and run.state not in ("failed", "aborted"):
            raise Forbidden(f"events for boot {boot.id}, which has ended", status=403)
        seq = _store(tx, policy, boot, run, fresh, now)
        after = runs.find(tx, run.id)
        if run.state in runs.OPEN and after.state not in runs.OPEN:
            applying.apply(tx, policy, run.machine_id, now)
        values = {"acked_seq": seq, "last_heard_at": now}
        if boots.find(tx, boot.id).ended_at is None:
            values["deadline_at"] = run_verbs.silence(now, policy)
        boots.update(tx, boot.id, **values)
    aborted = after.state == "aborted"
    return Ack(seq, "abort" if aborted else "go", after.reason if aborted else "")


def plan(store: Store, token: str, now: datetime) -> Plan:
    """What the session's run owes now; raises Forbidden."""
    with store.write() as tx:
        boot = session(tx, token)
        machines.lock(tx, runs.find(tx, boot.run_id or 0).machine_id)
        run = runs.find(tx, boot.run_id or 0)
        if boot.ended_at is not None:
            raise Forbidden(f"boot {boot.id} has ended", status=403)
        return run_verbs.next_plan(tx, boot, run, now)


def session(tx: Tx, token: str) -> Boot:
    """The boot that this token belongs to; raises Forbidden."""
    boot = boots.by_token(tx, secrets.digest(token)) if token else None
    if boot is None or boot.run_id is None:
        raise Forbidden("unknown session token", status=401)
    return boot


def script(store: Store, token: str, sha256: str) -> bytes:
    """The bytes of a script of the session's own run; raises Forbidden."""
    with store.write() as tx:
        boot = session(tx, token)
        body = runs.script_of_run(tx, boot.run_id or 0, sha256)
        if boot.ended_at is not None or body is None:
            raise Forbidden(f"script {sha256[:12]} is not of boot {boot.id}'s run", status=403)
    return body


def _store(tx: Tx, policy: Policy, boot: Boot, run: Run, fresh: list[Event], now: datetime) -> int:
    """Apply what follows without a gap; the agent sends the rest again from there."""
    seq = boot.acked_seq
    owed = {result.id: result for result in runs.results_of(tx, run.id)} if fresh else {}
    for event in sorted(fresh, key=lambda event: event.seq):
        if event.seq != seq + 1:
            break
        if event.kind == "output" and (result := owed.get(event.result)) is not None:
            _output(tx, policy, result, event)
        else:
            _apply(tx, boot, run, owed, event, now)
        seq = event.seq
    return seq


def _apply(
    tx: Tx, boot: Boot, run: Run, owed: dict[int, Result], event: Event, now: datetime
) -> None:
    if event.kind == "heartbeat":
        return
    if event.kind == "end":
        run_verbs.finish(tx, boot, run, now)
        return
    result = owed.get(event.result)
    if result is None:
        raise Forbidden(f"result {event.result} is not of boot {boot.id}'s run", status=403)
    if event.kind == "started":
        _started(tx, boot, result, now)
    else:
        _finished(tx, boot, run, result, event, now)


def _output(tx: Tx, policy: Policy, result: Result, event: Event) -> None:
    """Keep what fits; the agent knows the limit too, but a machine may run another agent."""
    data = _bytes(event)
    most = policy.output_limit + RESULT_LIMIT + MARKER_SPACE
    kept = runs.find_result(tx, result.id).output_bytes
    if kept + len(data) <= most:
        runs.append_output(tx, result.id, event.stream, data)
    elif kept < most:
        marker = f"\n[muster: the server keeps {most} bytes; what follows is left out]\n"
        data = data[: most - kept] + marker.encode()
        runs.append_output(tx, result.id, event.stream, data)


def _started(tx: Tx, boot: Boot, result: Result, now: datetime) -> None:
    known = runs.find_result(tx, result.id)
    if known.state not in _MAY_CHANGE:
        return
    began = known.started_at or now
    runs.update_result(
        tx, result.id, state="running", started_at=began, attempts=known.attempts + 1
    )
    reach(tx, boot, Phase.SCRIPTS, now, status="started", detail=_called(result))


def _finished(tx: Tx, boot: Boot, run: Run, result: Result, event: Event, now: datetime) -> None:
    if runs.find_result(tx, result.id).state not in _MAY_CHANGE:
        # An agent killed between telling and noting that it told says it twice.
        return
    verdict = judge(tx, run, result, event, now)
    runs.update_result(
        tx,
        result.id,
        state=verdict.state,
        reason=verdict.reason[:REASON_LIMIT],
        values=verdict.values,
        exit_status=event.exit_status,
        runtime_s=event.runtime_s,
        ended_at=now,
    )
    read = verdict.state in ("passed", "degraded")
    aftermath.of_script(tx, run.machine_id, result.name, verdict.tags, now, read=read, boot=boot.id)
    status = "done" if verdict.state in GOOD else "failed"
    detail = f"{_called(result)} {verdict.state.replace('_', ' ')} in {event.runtime_s:.1f} s"
    told = f"{detail}{': ' if verdict.reason else ''}{verdict.reason}"
    boots.mark(tx, boot.id, now, Phase.SCRIPTS, status, told[:REASON_LIMIT])


def _called(result: Result) -> str:
    return f"{result.name} on {result.device}" if result.device else result.name


def _bytes(event: Event) -> bytes:
    try:
        return base64.b64decode(event.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage("$.events[].data", f"event {event.seq}: not base64: {error}") from error
