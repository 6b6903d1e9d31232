# SPDX-License-Identifier: Apache-2.0
"""One boot's work: hello, fetch, run, report, until the server has everything.

A restarted agent says hello again with the key it kept; the server gives it the same run, with
what is done marked so. A script that ran when the agent died is reported lost, not run twice:
it may have been half-way through something that must not happen twice.
"""

import hashlib
import os
import platform
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muster import __version__
from muster.agent import evidence
from muster.agent.link import Link, Refused, Unreachable
from muster.agent.runner import Outcome, Runner
from muster.agent.spool import Spool
from muster.wire.codec import BadMessage, decode, encode
from muster.wire.events import Ack, Batch
from muster.wire.hello import Hello, ScriptItem, Welcome


def say(text: str) -> None:
    """A line for the console and the journal."""
    print(f"muster agent: {text}", flush=True)


@dataclass(frozen=True)
class Kept:
    """What survives a restart of the agent: the boot's secret, and where the run is."""

    key: str
    running: int = 0
    finished: list[int] = field(default_factory=list)


class Session:
    """Everything of one boot, in `folder` (a memory file system)."""

    def __init__(self, folder: Path, server: str, nonce: str) -> None:
        self._folder = folder
        self._nonce = nonce
        self._server = server
        self._link = Link(server, say)
        self._spool = Spool(folder / "spool")
        self._kept = _find_kept(folder)
        self._keep()
        self._over = threading.Event()
        self._welcome = Welcome("hold")
        self._runner = Runner(folder / "scripts", self._spool, 0, {})

    def work(self) -> str:
        """Do the run; returns what the machine does next: "poweroff" or "stay"."""
        self._welcome = welcome = self._hello_until_decided()
        if welcome.decision != "run":
            say(f"the server refuses this machine: {welcome.reason}")
            return "poweroff"
        say(f"this is {welcome.machine}: {welcome.mode}, {len(welcome.scripts)} scripts")
        self._runner.output_limit = welcome.output_limit
        self._runner.environment = self._environment()
        sender = threading.Thread(target=self._send, name="sender", daemon=True)
        sender.start()
        self._report_lost()
        for item in welcome.scripts:
            if not item.done and item.result not in self._kept.finished:
                self._one(item)
        self._spool.add(kind="end", uptime_s=time.monotonic())
        self._spool.wait_until_empty()
        self._over.set()
        return welcome.after

    def _hello_until_decided(self) -> Welcome:
        heard = ""
        while True:
            welcome = self._hello()
            if welcome.decision != "hold":
                self._link.token = welcome.token
                return welcome
            if welcome.reason != heard:
                say(f"waiting: {welcome.reason}")
                heard = welcome.reason
            self._over.wait(max(0.5, welcome.retry_s))

    def _hello(self) -> Welcome:
        message = Hello(
            evidence=evidence.evidence(),
            nonce=self._nonce,
            key=self._kept.key,
            boot_mac=evidence.boot_mac(),
            architecture=platform.machine(),
            firmware=evidence.firmware(),
            kernel=evidence.kernel(),
            agent_version=__version__,
        )
        try:
            return decode(Welcome, self._link.until_answered("/agent/hello", encode(message)))
        except Refused as error:
            return Welcome("denied", str(error))
        except BadMessage as error:
            return Welcome("denied", f"the server's answer cannot be read: {error}")

    def _one(self, item: ScriptItem) -> None:
        if self._runner.aborted.is_set():
            self._report(item, Outcome("aborted", 0, 0.0, "aborted before it started"))
            return
        try:
            body = self._link.until_answered(f"/agent/scripts/{item.sha256}", stop=self._over)
        except Refused as error:
            self._report(item, Outcome("exited", 127, 0.0, f"cannot be fetched: {error}"))
            return
        if hashlib.sha256(body).hexdigest() != item.sha256:
            self._report(item, Outcome("exited", 127, 0.0, "was changed on its way here"))
            return
        self._keep(running=item.result)
        self._spool.add(kind="started", result=item.result, uptime_s=time.monotonic())
        outcome = self._runner.run(item, body)
        say(f"{item.name}: {outcome.how} {outcome.exit_status} in {outcome.runtime_s:.1f} s")
        self._report(item, outcome)

    def _report(self, item: ScriptItem, outcome: Outcome) -> None:
        self._finish(item.result, outcome)
        self._keep(running=0, finished=[*self._kept.finished, item.result])

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
        while not self._over.is_set():
            if not self._spool.wait_for_event(self._welcome.heartbeat_s):
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
            self._over.wait(ack.flush_s if ack.order == "go" else 0)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "MAAS_BASE_URL": self._server,
            "MAAS_RESOURCES_FILE": str(self._folder / "resources.json"),
            "MUSTER_MODE": self._welcome.mode,
            "MUSTER_AGENT": os.environ.get("MUSTER_AGENT", ""),
        }

    def _report_lost(self) -> None:
        """What ran when the agent last died."""
        running = self._kept.running
        if running:
            reason = "the agent was restarted while this script ran"
            self._finish(running, Outcome("lost", 0, 0.0, reason))
            self._keep(running=0, finished=[*self._kept.finished, running])

    def _keep(self, **changes: Any) -> None:
        """Change what a restarted agent will find; whole or not at all."""
        self._kept = replace(self._kept, **changes)
        part = self._folder / ".session.json"
        part.touch(mode=0o600)
        part.write_bytes(encode(self._kept))
        os.replace(part, self._folder / "session.json")


def _find_kept(folder: Path) -> Kept:
    try:
        return decode(Kept, (folder / "session.json").read_bytes())
    except (OSError, BadMessage):
        return Kept(key=secrets.token_urlsafe(32))
