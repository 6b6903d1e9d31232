# SPDX-License-Identifier: Apache-2.0
"""Takes the agent's events: raw bytes first, in order, each exactly once.

The agent numbers its events; a batch is stored in one transaction together with the highest
number, so a repeat after a lost answer is seen and skipped, and a crash between the two cannot be.
"""

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from muster.lifecycle import aftermath, applying, manifest, secrets
from muster.lifecycle import runs as run_verbs
from muster.lifecycle.plan import GOOD
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.lifecycle.timeline import MARKS_LIMIT
from muster.lifecycle.verdict import REASON_LIMIT, Verdict, judge
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
        run = runs.find_locked(tx, boot.run_id or 0)
        fresh = [event for event in batch.events if event.seq > boot.acked_seq]
        if boot.ended_at is not None and fresh and run.state not in ("failed", "aborted"):
            raise Forbidden(f"events for boot {boot.id}, which has ended", status=403)
        taking = _Taking(tx, policy, boot, run, now)
        seq = taking.take(fresh)
        after = taking.run
        if run.state in runs.OPEN and after.state not in runs.OPEN:
            # The inventory may tell more than the hello did.
            manifest.arrive(tx, policy, machines.find(tx, run.machine_id), now)
            applying.apply(tx, policy, run.machine_id, now)
        values = {"acked_seq": seq, "last_heard_at": now} | taking.of_boot
        if values.get("ended_at", boot.ended_at) is None:
            values["deadline_at"] = run_verbs.silence(now, policy)
        boots.update(tx, boot.id, **values)
    aborted = after.state == "aborted"
    return Ack(seq, "abort" if aborted else "go", after.reason if aborted else "")


def plan(store: Store, token: str, now: datetime) -> Plan:
    """What the session's run owes now; raises Forbidden."""
    with store.write() as tx:
        boot = session(tx, token)
        run = runs.find_locked(tx, boot.run_id or 0)
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
    with store.read() as tx:
        body = runs.script_for(tx, secrets.digest(token), sha256) if token else None
        if body is None:
            boot = session(tx, token)
            raise Forbidden(f"script {sha256[:12]} is not of boot {boot.id}'s run", status=403)
    return body


class _Taking:
    """One batch. Its rows are written together: a batch of 12 scripts cost 150 statements apart.

    `run` is as it is then, `of_boot` what changes of the boot, which the caller writes.
    """

    def __init__(self, tx: Tx, policy: Policy, boot: Boot, run: Run, now: datetime) -> None:
        self._tx = tx
        self.run = run
        self.of_boot: dict[str, Any] = {}
        self._boot = boot
        self._now = now
        self._most = policy.output_limit + RESULT_LIMIT + MARKER_SPACE
        self._owed: dict[int, Result] | None = None
        self._changed: set[int] = set()
        self._pieces: list[tuple[int, str, bytes]] = []
        self._marks: list[tuple[str, str]] = []

    def take(self, fresh: list[Event]) -> int:
        """Apply what follows without a gap, and say up to where; the agent sends the rest again.

        Raises Forbidden for another run's result, BadMessage for what is no base64.
        """
        seq = self._boot.acked_seq
        for event in sorted(fresh, key=lambda event: event.seq):
            if event.seq != seq + 1:
                break
            self._apply(event)
            seq = event.seq
        self._write()
        return seq

    def _apply(self, event: Event) -> None:
        if event.kind == "heartbeat":
            return
        if event.kind == "end":
            self._write()
            owed = list(self._results().values())
            self.run = run_verbs.finish(self._tx, self._boot, self.run, owed, self._now)
            self._owed = None
            self.of_boot["ended_at"] = self._now
            return
        result = self._results().get(event.result)
        if result is None:
            told = f"result {event.result} is not of boot {self._boot.id}'s run"
            raise Forbidden(told, status=403)
        if event.kind == "output":
            self._output(result, event)
        elif event.kind == "started":
            self._started(result)
        else:
            self._finished(result, event)

    def _write(self) -> None:
        """What the batch changed so far."""
        self._write_pieces()
        runs.write_results(self._tx, [self._results()[number] for number in self._changed])
        boots.add_marks(self._tx, self._boot.id, self._now, Phase.SCRIPTS, self._marks, MARKS_LIMIT)
        self._changed, self._marks = set(), []

    def _write_pieces(self) -> None:
        runs.append_output(self._tx, self._pieces)
        self._pieces = []

    def _results(self) -> dict[int, Result]:
        """As they are with this batch; the machine is locked, nobody else changes them."""
        if self._owed is None:
            self._owed = {result.id: result for result in runs.results_of(self._tx, self.run.id)}
        return self._owed

    def _change(self, result: Result, **values: Any) -> None:
        self._results()[result.id] = replace(result, **values)
        self._changed.add(result.id)

    def _output(self, result: Result, event: Event) -> None:
        """Keep what fits; the agent knows the limit too, but a machine may run another agent."""
        data = _bytes(event)
        kept = result.output_bytes
        if kept >= self._most:
            return
        if kept + len(data) > self._most:
            marker = f"\n[muster: the server keeps {self._most} bytes; what follows is left out]\n"
            data = data[: self._most - kept] + marker.encode()
        self._pieces.append((result.id, event.stream, data))
        self._change(result, output_bytes=kept + len(data))

    def _started(self, result: Result) -> None:
        if result.state not in _MAY_CHANGE:
            return
        began = result.started_at or self._now
        self._change(result, state="running", started_at=began, attempts=result.attempts + 1)
        self._marks.append(("started", _called(result)))
        self.of_boot |= {"ended_at": None, "phase_at": self._now, "failure": ""}

    def _finished(self, result: Result, event: Event) -> None:
        if result.state not in _MAY_CHANGE:
            # An agent killed between telling and noting that it told says it twice.
            return
        said = partial(self._said, result)
        verdict = judge(self._tx, self.run, result, event, said, self._now)
        self._change(
            result,
            state=verdict.state,
            reason=verdict.reason[:REASON_LIMIT],
            values=verdict.values,
            exit_status=event.exit_status,
            runtime_s=event.runtime_s,
            ended_at=self._now,
        )
        self._tell_others(result, verdict)
        status = "done" if verdict.state in GOOD else "failed"
        how = f"{verdict.state.replace('_', ' ')} in {event.runtime_s:.1f} s"
        told = f"{_called(result)} {how}{': ' if verdict.reason else ''}{verdict.reason}"
        self._marks.append((status, told[:REASON_LIMIT]))

    def _said(self, result: Result, stream: str) -> bytes:
        """All that a script wrote there: often it is in this very batch."""
        mine = [piece for piece in self._pieces if piece[0] == result.id]
        if sum(len(data) for _, _, data in mine) == result.output_bytes:
            return b"".join(data for _, name, data in mine if name == stream)
        self._write_pieces()
        return runs.output(self._tx, result.id, stream=stream)

    def _tell_others(self, result: Result, verdict: Verdict) -> None:
        read = verdict.state in ("passed", "degraded")
        aftermath.of_script(
            self._tx, self.run.machine_id, result.name, verdict.tags, self._now,
            read=read, boot=self._boot.id,
        )  # fmt: skip


def _called(result: Result) -> str:
    return f"{result.name} on {result.device}" if result.device else result.name


def _bytes(event: Event) -> bytes:
    try:
        return base64.b64decode(event.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage("$.events[].data", f"event {event.seq}: not base64: {error}") from error
