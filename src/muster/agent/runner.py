# SPDX-License-Identifier: Apache-2.0
"""Runs one script in its own process group with a time limit and streams what it prints."""

import base64
import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from muster.agent.spool import Spool
from muster.wire.events import CHUNK_LIMIT
from muster.wire.hello import ScriptItem

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""

DRAIN = 1.0
"""Seconds for output that is still in the pipe after the script's end."""

_READ = 48 * 1024  # becomes exactly one event: 64 KiB of base64
assert _READ <= CHUNK_LIMIT

_HOLD = 0.2
"""Seconds that a little output waits for more: a script that prints byte by byte would otherwise

make an event, a file and a row of each."""


@dataclass
class Outcome:
    """How a script ended."""

    how: Literal["exited", "timed_out", "aborted", "lost"]
    exit_status: int
    runtime_s: float
    reason: str = ""


@dataclass
class Runner:
    """Runs scripts one after another; `abort` may be called from another thread."""

    folder: Path
    spool: Spool
    output_limit: int
    environment: dict[str, str]
    aborted: threading.Event = field(default_factory=threading.Event)

    def run(self, item: ScriptItem, body: bytes) -> Outcome:
        """Run to the end, whatever the script does."""
        home = self.folder / f"{item.name}.{item.result}"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        script = home / "script"
        script.write_bytes(body)
        script.chmod(0o700)
        began = time.monotonic()
        try:
            process = self._start(item, home, script)
        except OSError as error:
            return Outcome("exited", 127, 0.0, f"cannot be started: {error}")
        how, dropped = self._attend(item, process, began)
        runtime = time.monotonic() - began
        self._send_result_file(item, home)
        return _outcome(item, process, how=how, runtime=runtime, dropped=dropped)

    def _start(self, item: ScriptItem, home: Path, script: Path) -> "subprocess.Popen[bytes]":
        environment = {
            **self.environment,
            "RESULT_PATH": str(home / "result.yaml"),
            "DOWNLOAD_PATH": str(home),
            "RUNTIME": str(int(item.timeout_s)),
            "HAS_STARTED": "False",
        }
        return subprocess.Popen(
            [str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env=environment,
            start_new_session=True,
        )

    def _attend(
        self, item: ScriptItem, process: "subprocess.Popen[bytes]", began: float
    ) -> tuple[Literal["exited", "timed_out", "aborted"], int]:
        """Read until the script and its output end; returns how, and the bytes left out."""
        pump = _Pump(item, process, self.spool, self.output_limit)
        limit = began + item.timeout_s if item.timeout_s > 0 else float("inf")
        how: Literal["exited", "timed_out", "aborted"] = "exited"
        while process.poll() is None:
            pump.read(0.1)
            if self.aborted.is_set() or time.monotonic() >= limit:
                how = "aborted" if self.aborted.is_set() else "timed_out"
                _terminate(process, pump)
                break
        # Children that keep the pipe open may not keep the run.
        drained = time.monotonic() + DRAIN
        while not pump.ended and time.monotonic() < drained:
            pump.read(0.1)
        _kill_group(process, signal.SIGKILL)
        process.wait()
        pump.close()
        return how, pump.dropped

    def _send_result_file(self, item: ScriptItem, home: Path) -> None:
        """$RESULT_PATH, when the script wrote one; bounded like all output."""
        path = home / "result.yaml"
        # A FIFO there would never be readable to its end.
        if not path.is_file():
            return
        left = self.output_limit
        with contextlib.suppress(OSError), path.open("rb") as file:
            while data := file.read(min(_READ, left)):
                send_output(self.spool, item.result, "result", data)
                left -= len(data)


class _Pump:
    """Moves the output of a process into the spool, up to the limit."""

    def __init__(
        self, item: ScriptItem, process: "subprocess.Popen[bytes]", spool: Spool, limit: int
    ) -> None:
        self._item = item
        self._spool = spool
        self._left = limit
        self.dropped = 0
        self._held = b""
        self._held_stream = ""
        self._held_since = 0.0
        self._selector = selectors.DefaultSelector()
        for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, stream)

    @property
    def ended(self) -> bool:
        """Both pipes are closed on the other side."""
        return not self._selector.get_map()

    def read(self, timeout: float) -> None:
        """Take what is there; waits at most `timeout` seconds for something."""
        for key, _ in self._selector.select(timeout):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]
            try:
                data = os.read(pipe.fileno(), _READ)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(pipe)
                pipe.close()
                continue
            kept = data[: self._left]
            self._left -= len(kept)
            self.dropped += len(data) - len(kept)
            self._hold(key.data, kept)
        if time.monotonic() - self._held_since >= _HOLD:
            self._send()

    def close(self) -> None:
        """Send the rest and let the pipes go."""
        self._send()
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _hold(self, stream: str, data: bytes) -> None:
        if stream != self._held_stream or len(self._held) + len(data) > _READ:
            self._send()
            self._held_stream = stream
        if not self._held:
            self._held_since = time.monotonic()
        self._held += data

    def _send(self) -> None:
        if self._held:
            send_output(self._spool, self._item.result, self._held_stream, self._held)
            self._held = b""


def send_output(spool: Spool, result: int, stream: str, data: bytes) -> None:
    """One piece of output as an event."""
    spool.add(
        kind="output",
        result=result,
        stream=stream,
        data=base64.b64encode(data).decode(),
        uptime_s=time.monotonic(),
    )


def _terminate(process: "subprocess.Popen[bytes]", pump: _Pump) -> None:
    """SIGTERM to the group, then wait up to the grace, still reading."""
    _kill_group(process, signal.SIGTERM)
    end = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < end:
        pump.read(0.1)


def _kill_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _outcome(
    item: ScriptItem,
    process: "subprocess.Popen[bytes]",
    *,
    how: Literal["exited", "timed_out", "aborted"],
    runtime: float,
    dropped: int,
) -> Outcome:
    status = process.returncode
    reasons = []
    if how == "timed_out":
        reasons.append(f"stopped after its limit of {item.timeout_s:.0f} s")
    elif how == "aborted":
        reasons.append("aborted by the server's order")
    elif status < 0:
        reasons.append(f"ended by signal {-status}")
    elif status:
        reasons.append(f"exit status {status}")
    if dropped:
        reasons.append(f"{dropped} bytes of output beyond the limit were left out")
    return Outcome(how, status if status >= 0 else 128 - status, runtime, "; ".join(reasons))
