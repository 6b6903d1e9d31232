# SPDX-License-Identifier: Apache-2.0
"""Runs one script in its own process group with a time limit and streams what it prints."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from muster.agent import orphans
from muster.agent.packages import Command, Unfit, commands
from muster.agent.pump import READ, Pump, send_output
from muster.agent.spool import Spool
from muster.wire.events import RESULT_LIMIT
from muster.wire.hello import ScriptItem

GRACE = 1.5
"""Seconds between SIGTERM and SIGKILL; with a heartbeat of 2.5 s an abort takes less than 5 s."""

DRAIN = 1.0
"""Seconds for output that is still in the pipe after the script's end."""

_SECRET = ".secret"

_TICK = 0.25
"""Seconds within which an abort is seen."""

_FORK = threading.Lock()
"""Held while a script is written and while a process starts: a child of another thread that still

has the file open for writing would make its start fail with "Text file busy" (execve(2))."""

How = Literal["exited", "timed_out", "aborted", "lost"]


@dataclass
class Outcome:
    """How a script ended."""

    how: How
    exit_status: int
    runtime_s: float
    reason: str = ""


@dataclass
class Runner:
    """Runs scripts, several at once if asked to from several threads.

    `aborted` ends what runs. `mark` tells this boot's processes from any other's. `began` hears
    the process of each result, so that a later agent can end what this one leaves.
    """

    folder: Path
    spool: Spool
    output_limit: int
    environment: dict[str, str]
    mark: str
    aborted: threading.Event = field(default_factory=threading.Event)
    began: Callable[[int, int], None] = lambda result, pid: None

    def run(self, item: ScriptItem, body: bytes, secret: bytes = b"") -> Outcome:
        """Run to the end, whatever the script does.

        `secret` reaches it by a file that only root reads and that goes with the script.
        """
        began = time.monotonic()
        home = self.folder / f"{item.name}.{item.result}"
        try:
            _prepare(home, body, secret)
            before = commands(item.packages, home)
        except (OSError, Unfit) as error:
            return Outcome("exited", 127, 0.0, f"cannot be started: {error}")
        pump = Pump(item.result, self.spool, self.output_limit, home)
        last = Command([str(home / "script"), *item.arguments], "")
        try:
            outcome = self._steps(item, home, pump, [*before, last], began)
        finally:
            orphans.end(f"{self.mark}.{item.result}")
            pump.close()
        self._send_result_file(item, home)
        if pump.dropped:
            told = f"{pump.dropped} bytes of output beyond the limit were left out"
            outcome.reason = f"{outcome.reason}; {told}" if outcome.reason else told
        shutil.rmtree(home, ignore_errors=True)
        return outcome

    def _steps(
        self, item: ScriptItem, home: Path, pump: Pump, steps: list[Command], began: float
    ) -> Outcome:
        """Packages first, then the script, all within its one time limit."""
        outcome = Outcome("exited", 0, 0.0)
        for step in steps:
            try:
                process = self._start(item, home, step.words)
            except OSError as error:
                why = step.what or f"cannot be started: {error}"
                return Outcome("exited", 127, time.monotonic() - began, why)
            self.began(item.result, process.pid)
            how = self._attend(item, process, pump, began)
            outcome = _outcome(item, process, how=how, runtime=time.monotonic() - began)
            if outcome.how != "exited" or outcome.exit_status:
                if step.what:
                    outcome.reason = f"{step.what}: {outcome.reason}"
                break
        return outcome

    def _start(self, item: ScriptItem, home: Path, words: list[str]) -> "subprocess.Popen[bytes]":
        environment = {
            **self.environment,
            "RESULT_PATH": str(home / "result.yaml"),
            "OUTPUT_COMBINED_PATH": str(home / "combined"),
            "OUTPUT_STDOUT_PATH": str(home / "stdout"),
            "OUTPUT_STDERR_PATH": str(home / "stderr"),
            "DOWNLOAD_PATH": str(home),
            "MUSTER_SECRET_FILE": str(home / _SECRET),
            "RUNTIME": str(int(item.runtime_s or item.timeout_s)),
            "HAS_STARTED": str(item.has_started),
            orphans.MARK: f"{self.mark}.{item.result}",
        }
        with _FORK:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=home,
                env=environment,
                start_new_session=True,
            )
        # The agent's own unit protects it from the OOM killer; a script is what should go first.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("500")
        # The group: it may have forked already with the agent's own priority.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, process.pid, 0)
        return process

    def _attend(
        self, item: ScriptItem, process: "subprocess.Popen[bytes]", pump: Pump, began: float
    ) -> How:
        """Read until the process and its output end; returns how."""
        pump.attach(process)
        limit = began + item.timeout_s if item.timeout_s > 0 else float("inf")
        how: How = "exited"
        while process.poll() is None:
            pump.read(max(0.0, min(_TICK, limit - time.monotonic())))
            if self.aborted.is_set() or time.monotonic() >= limit:
                how = "aborted" if self.aborted.is_set() else "timed_out"
                _terminate(process, pump)
                break
        # Children that keep the pipe open may not keep the run.
        drained = time.monotonic() + DRAIN
        while not pump.ended and time.monotonic() < drained:
            if not pump.read(0.05) and _group_is_gone(process):
                break
        _kill_group(process, signal.SIGKILL)
        process.wait()
        pump.detach()
        return how

    def _send_result_file(self, item: ScriptItem, home: Path) -> None:
        """$RESULT_PATH, when the script wrote one; bounded like all output."""
        path = home / "result.yaml"
        # A FIFO there would never be readable to its end.
        if not path.is_file():
            return
        left = RESULT_LIMIT
        with contextlib.suppress(OSError), path.open("rb") as file:
            while data := file.read(min(READ, left)):
                send_output(self.spool, item.result, "result", data)
                left -= len(data)


def _prepare(home: Path, body: bytes, secret: bytes) -> None:
    # What an agent that died left there is not this script's.
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    script = home / "script"
    with _FORK:
        script.write_bytes(body)
    script.chmod(0o700)
    (home / _SECRET).touch(mode=0o600)
    (home / _SECRET).write_bytes(secret)


def _terminate(process: "subprocess.Popen[bytes]", pump: Pump) -> None:
    """SIGTERM to the group, then up to the grace, still reading, then SIGKILL."""
    _kill_group(process, signal.SIGTERM)
    end = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < end:
        pump.read(0.1)
    _kill_group(process, signal.SIGKILL)


def _group_is_gone(process: "subprocess.Popen[bytes]") -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _kill_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _outcome(
    item: ScriptItem, process: "subprocess.Popen[bytes]", *, how: How, runtime: float
) -> Outcome:
    status = process.returncode
    reason = ""
    if how == "timed_out":
        reason = f"stopped after its limit of {item.timeout_s:.0f} s"
    elif how == "aborted":
        reason = "aborted by the server's order"
    elif status < 0:
        reason = f"ended by signal {-status}"
    elif status:
        reason = f"exit status {status}"
    return Outcome(how, status if status >= 0 else 128 - status, runtime, reason)
