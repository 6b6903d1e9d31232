# SPDX-License-Identifier: Apache-2.0
"""One boot's work behind the hello: fetch, run, report, until the server has everything.

A restarted agent says hello again with the key it kept; the server gives it the same run, with
what is done marked so. A script that ran when the agent died is ended and reported lost, not run
twice: it may have been half-way through something that must not happen twice.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from muster.agent import kept, orphans
from muster.agent.bytecode import unfold
from muster.agent.greeting import Greeting, say
from muster.agent.kept import Running
from muster.agent.link import Refused, Unreachable
from muster.agent.runner import Outcome, Runner
from muster.agent.schedule import startable
from muster.agent.spool import Spool
from muster.wire.codec import BadMessage, decode, encode
from muster.wire.events import Ack, Batch
from muster.wire.hello import Plan, ScriptItem, Welcome

_GOES_DOWN_S = 120.0
"""Seconds that a machine told to reboot may take to stop its agent."""
_LAST_WORDS_S = 5.0


class Session:
    """Everything of one boot, in the greeting's folder (a memory file system)."""

    def __init__(self, greeting: Greeting, welcome: Welcome) -> None:
        self._folder = greeting.folder
        self._stage = greeting.stage
        self._server = greeting.server
        self._link = greeting.link
        self._welcome = welcome
        self._spool = Spool(self._folder / "spool")
        self._lock = threading.RLock()
        self._kept = greeting.kept
        self._over = threading.Event()
        self._stopping = threading.Event()
        self._turn = threading.Condition()
        self._bodies: dict[str, str] = {}
        mark = hashlib.sha256(self._kept.key.encode()).hexdigest()[:16]
        self._runner = Runner(self._folder / "scripts", self._spool, 0, {}, mark,
                              began=self._began)  # fmt: skip

    def work(self) -> str:
        """Do the run; returns what the machine does next: "poweroff" or "stay".

        "tools" or "system": the rest of the run needs that level, and an agent started there.
        """
        welcome = self._welcome
        say(f"this is {welcome.machine}: {welcome.mode}, {len(welcome.scripts)} scripts")
        self._bodies = dict(welcome.bodies)
        self._stage.order("hello")
        todo = self._todo(welcome.scripts)
        if self._stage.beyond(todo):
            self._stage.order("tools")
        if pack := os.environ.get("MUSTER_AGENT"):
            # Not before the hello, which it would delay on the processors of a machine that starts.
            os.environ["MUSTER_AGENT"] = unfold(pack, self._folder)
        self._runner.output_limit = welcome.output_limit
        self._runner.environment = self._environment()
        sender = threading.Thread(target=self._send, name="sender", daemon=True)
        sender.start()
        self._report_lost()
        if following := self._go_through(self._todo(todo)):
            self._spool.wait_until_empty(_LAST_WORDS_S)
            return following
        if self._stopping.is_set():
            self._spool.wait_until_empty(_LAST_WORDS_S)
            return "stay"
        self._spool.add(kind="end", uptime_s=time.monotonic())
        self._spool.wait_until_empty()
        self._over.set()
        return welcome.after

    def _go_through(self, todo: list[ScriptItem]) -> str:
        """Run what can run here; returns the level that the rest needs, "" when all has ended."""
        if not self._stage.wait_for_devices(self._runner.aborted):
            say("not every device has its driver yet; going on without")
        while todo and not self._stopping.is_set():
            here = [item for item in todo if self._stage.can(item)]
            following = self._stage.beyond(todo) if not here else ""
            if following and self._stage.wait_for_root(self._runner.aborted):
                return following
            # What cannot run here ends as aborted, which is why it was not waited for.
            self._run(list(here or todo))
            todo = self._todo(todo) or self._todo(self._plan())
        return ""

    def stop(self) -> None:
        """The machine goes down (SIGTERM): start nothing more, report what was cut off."""
        self._stopping.set()
        self._runner.aborted.set()

    def _todo(self, scripts: list[ScriptItem]) -> list[ScriptItem]:
        return [i for i in scripts if not i.done and i.result not in self._kept.finished]

    def _plan(self) -> list[ScriptItem]:
        """What the run owes now that the server has read what was found."""
        self._spool.wait_until_empty(_LAST_WORDS_S if self._stopping.is_set() else None)
        if self._runner.aborted.is_set():
            return []
        try:
            answer = self._link.until_answered("/agent/plan", b"{}", stop=self._over)
            plan = decode(Plan, answer)
            self._bodies |= plan.bodies
            return plan.scripts
        except (Refused, Unreachable, BadMessage) as error:
            say(f"no further plan: {error}")
            return []

    def _run(self, waiting: list[ScriptItem]) -> None:
        """Every script, each in a thread of its own, as the schedule lets them."""
        running: dict[int, ScriptItem] = {}
        with self._turn:
            while waiting or running:
                for item in startable(waiting, running.values()):
                    waiting.remove(item)
                    running[item.result] = item
                    name = f"script-{item.result}"
                    threading.Thread(target=self._one, args=(item, running), name=name).start()
                self._turn.wait()

    def _one(self, item: ScriptItem, running: dict[int, ScriptItem]) -> None:
        self._work_on(item)
        with self._turn:
            del running[item.result]
            self._turn.notify_all()

    def _work_on(self, item: ScriptItem) -> None:
        if self._runner.aborted.is_set():
            if not self._stopping.is_set():
                self._report(item, Outcome("aborted", 0, 0.0, "aborted before it started"))
            return
        try:
            body = self._body(item)
        except (Refused, Unreachable, binascii.Error) as error:
            self._report(item, Outcome("exited", 127, 0.0, f"cannot be fetched: {error}"))
            return
        if hashlib.sha256(body).hexdigest() != item.sha256:
            self._report(item, Outcome("exited", 127, 0.0, "was changed on its way here"))
            return
        try:
            secret = self._secret(item)
        except (Refused, Unreachable) as error:
            self._report(item, Outcome("exited", 127, 0.0, f"its secret is refused: {error}"))
            return
        with self._lock:
            self._keep(running=[*self._kept.running, Running(item.result)])
        self._spool.add(kind="started", result=item.result, uptime_s=time.monotonic())
        outcome = self._runner.run(item, body, secret)
        say(f"{item.name}: {outcome.how} {outcome.exit_status} in {outcome.runtime_s:.1f} s")
        if item.may_reboot and _goes_down():
            self._stopping.wait(_GOES_DOWN_S)
        elif self._stopping.is_set() and item.may_reboot:
            # It goes on after the reboot: the server hears of its end then.
            return
        elif self._stopping.is_set():
            outcome.how = "lost"
            outcome.reason = "the machine was shut down while this script ran"
        self._report(item, outcome)

    def _body(self, item: ScriptItem) -> bytes:
        """The script: small ones came with the welcome or the plan."""
        if sent := self._bodies.get(item.sha256):
            return base64.b64decode(sent)
        return self._link.until_answered(f"/agent/scripts/{item.sha256}", stop=self._over)

    def _secret(self, item: ScriptItem) -> bytes:
        if not item.secret:
            return b""
        return self._link.until_answered(f"/agent/secrets/{item.result}", stop=self._over)

    def _began(self, result: int, pid: int) -> None:
        """Keep which process a result has, for an agent that comes after this one."""
        known = Running(result, pid, _started(pid))
        with self._lock:
            others = [left for left in self._kept.running if left.result != result]
            self._keep(running=[*others, known])

    def _report(self, item: ScriptItem, outcome: Outcome) -> None:
        self._finish(item.result, outcome)
        self._forget(item.result)

    def _forget(self, result: int) -> None:
        with self._lock:
            others = [left for left in self._kept.running if left.result != result]
            self._keep(running=others, finished=[*self._kept.finished, result])

    def _finish(self, result: int, outcome: Outcome) -> None:
        self._spool.add(
            kind="finished",
            result=result,
            outcome=outcome.how,
            exit_status=outcome.exit_status,
            runtime_s=round(outcome.runtime_s, 3),
            reason=outcome.reason[:1024],
            uptime_s=time.monotonic(),
        )

    def _send(self) -> None:
        """The sender's thread: batches in order, heartbeats when there is nothing to say."""
        flushed = 0.0
        while not self._over.is_set():
            if not self._spool.wait_for_event(max(0.1, self._welcome.heartbeat_s - flushed)):
                self._spool.add(kind="heartbeat", uptime_s=time.monotonic())
            batch = encode(Batch(self._spool.waiting()))
            try:
                ack = decode(
                    Ack, self._link.until_answered("/agent/events", batch, stop=self._over)
                )
            except Unreachable:
                return
            except (Refused, BadMessage) as error:
                say(f"the server refuses our events: {error}")
                self._spool.close()
                self._runner.aborted.set()
                return
            self._spool.acknowledge(ack.seq)
            if ack.order == "abort" and not self._runner.aborted.is_set():
                say(f"ordered to abort: {ack.reason}")
                self._runner.aborted.set()
            flushed = ack.flush_s if ack.order == "go" else 0.0
            self._over.wait(flushed)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "MAAS_BASE_URL": self._server,
            "MAAS_RESOURCES_FILE": str(self._folder / "resources.json"),
            "MAAS_MACHINE_EXTRA_FILE": str(self._folder / "machine-extra.json"),
            "MAAS_STORAGE_CONFIG_FILE": str(self._folder / "storage-config.json"),
            "BMC_CONFIG_PATH": str(self._folder / "bmc-config.yaml"),
            "MUSTER_MODE": self._welcome.mode,
            "MUSTER_AGENT": os.environ.get("MUSTER_AGENT", ""),
        }

    def _report_lost(self) -> None:
        """What ran when the agent last died."""
        for left in self._kept.running:
            if left.pid and _started(left.pid) == left.started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(left.pid, signal.SIGKILL)
            orphans.end(f"{self._runner.mark}.{left.result}")
            reason = "the agent was restarted while this script ran"
            self._finish(left.result, Outcome("lost", 0, 0.0, reason))
            self._forget(left.result)

    def _keep(self, **changes: Any) -> None:
        """Change what a restarted agent will find; whole or not at all."""
        with self._lock:
            self._kept = replace(self._kept, **changes)
            kept.keep(self._folder, self._kept)


def _started(pid: int) -> str:
    """When a process started (field 22 of proc(5)'s stat), or "" when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
    except OSError:
        return ""
    return after_name.split()[19]


def _goes_down() -> bool:
    """Whether a reboot is under way; a script that asked for it ends before it comes."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = ["systemctl", "is-system-running"]
        answer = subprocess.run(asked, capture_output=True, check=False, timeout=10)
        return answer.stdout.strip() == b"stopping"
    return False


def power_off() -> None:
    """Not waited for: the unit that runs this is among those that end."""
    subprocess.run(["systemctl", "poweroff", "--no-block"], check=False, timeout=30)
