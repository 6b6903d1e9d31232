# SPDX-License-Identifier: Apache-2.0
"""Takes the agent's events: raw bytes first, in order, each exactly once.

The agent numbers its events; a batch is stored in one transaction together with the highest
number, so a repeat after a lost answer is seen and skipped, and a crash between the two cannot be.
"""

import base64
import binascii
from datetime import datetime

from muster.lifecycle import runs as run_verbs
from muster.lifecycle import secrets, survey
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.lifecycle.timeline import reach
from muster.machine.phases import Phase
from muster.store import boots, machines, runs
from muster.store.boots import Boot
from muster.store.engine import Store, Tx
from muster.store.runs import Result, Run
from muster.wire.codec import BadMessage
from muster.wire.events import Ack, Batch, Event

_STATES = {"timed_out": "timed_out", "aborted": "aborted", "lost": "lost"}
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
        seq = _store(tx, boot, run, fresh, now)
        after = runs.find(tx, run.id)
        values = {"acked_seq": seq, "last_heard_at": now}
        if boots.find(tx, boot.id).ended_at is None:
            values["deadline_at"] = run_verbs.silence(now, policy)
        boots.update(tx, boot.id, **values)
    aborted = after.state == "aborted"
    return Ack(seq, "abort" if aborted else "go", after.reason if aborted else "")


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


def _store(tx: Tx, boot: Boot, run: Run, fresh: list[Event], now: datetime) -> int:
    """Apply what follows without a gap; the agent sends the rest again from there."""
    seq = boot.acked_seq
    owed = {result.id: result for result in runs.results_of(tx, run.id)} if fresh else {}
    for event in sorted(fresh, key=lambda event: event.seq):
        if event.seq != seq + 1:
            break
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
    elif event.kind == "output":
        runs.append_output(tx, result.id, event.stream, _bytes(event))
    else:
        _finished(tx, boot, run, result, event, now)


def _started(tx: Tx, boot: Boot, result: Result, now: datetime) -> None:
    if runs.find_result(tx, result.id).state not in _MAY_CHANGE:
        return
    runs.update_result(tx, result.id, state="running", started_at=now)
    reach(tx, boot, Phase.SCRIPTS, now, status="started", detail=result.name)


def _finished(tx: Tx, boot: Boot, run: Run, result: Result, event: Event, now: datetime) -> None:
    if runs.find_result(tx, result.id).state not in _MAY_CHANGE:
        # An agent killed between telling and noting that it told says it twice.
        return
    state = _STATES.get(event.outcome) or ("passed" if event.exit_status == 0 else "failed")
    reason = event.reason
    if state == "passed" and (why := survey.read(tx, run, result, now)):
        state, reason = "failed", why
    runs.update_result(
        tx,
        result.id,
        state=state,
        reason=reason,
        exit_status=event.exit_status,
        runtime_s=event.runtime_s,
        ended_at=now,
    )
    status = "done" if state == "passed" else "failed"
    detail = f"{result.name} {state.replace('_', ' ')} in {event.runtime_s:.1f} s"
    boots.mark(tx, boot.id, now, Phase.SCRIPTS, status, f"{detail}{': ' if reason else ''}{reason}")


def _bytes(event: Event) -> bytes:
    try:
        return base64.b64decode(event.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage("$.events[].data", f"event {event.seq}: not base64: {error}") from error
