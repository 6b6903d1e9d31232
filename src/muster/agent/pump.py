# SPDX-License-Identifier: Apache-2.0
"""Moves what a script prints into the spool: in large reads, up to a limit, with a marker."""

import base64
import contextlib
import fcntl
import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import IO

from muster.agent.spool import Spool
from muster.wire.events import CHUNK_LIMIT

READ = 48 * 1024  # becomes exactly one event: 64 KiB of base64
assert READ <= CHUNK_LIMIT

_PIPE = 1024 * 1024
"""Bytes a pipe may hold: a script that floods is woken sixteen times less often."""

_HOLD = 0.2
"""Seconds that a little output waits for more: a script that prints byte by byte would otherwise

make an event, a file and a row of each."""

MARKER = "\n[muster: the limit of {limit} bytes is reached; what follows is left out]\n"


class Pump:
    """The output of one result, over however many processes it takes."""

    def __init__(self, result: int, spool: Spool, limit: int, home: Path) -> None:
        self._result = result
        self._spool = spool
        self._limit = self._left = limit
        self._home = home
        self.dropped = 0
        self._held = b""
        self._held_stream = ""
        self._held_since = 0.0
        self._selector = selectors.DefaultSelector()
        self._pidfd = -1

    def attach(self, process: "subprocess.Popen[bytes]") -> None:
        """Read this process from now on, and wake up when it ends."""
        for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            with contextlib.suppress(OSError):
                # Beyond /proc/sys/fs/pipe-user-pages-soft it stays as it is.
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
            self._selector.register(pipe, selectors.EVENT_READ, stream)
        with contextlib.suppress(OSError):
            # Linux 5.3; without it the end is seen at the next tick.
            self._pidfd = os.pidfd_open(process.pid)
            self._selector.register(self._pidfd, selectors.EVENT_READ, "")

    @property
    def ended(self) -> bool:
        """Both pipes are closed on the other side."""
        return all(key.data == "" for key in self._selector.get_map().values())

    def read(self, timeout: float) -> bool:
        """Take what is there; waits at most `timeout` seconds. True when there was output."""
        some = False
        if self._held:
            timeout = min(timeout, _HOLD)
        for key, _ in self._selector.select(timeout):
            if key.data == "":
                self._forget_pidfd()
                continue
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]
            try:
                data = os.read(pipe.fileno(), READ)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(pipe)
                pipe.close()
                continue
            some = True
            self._take(key.data, data)
        if time.monotonic() - self._held_since >= _HOLD:
            self._send()
        return some

    def detach(self) -> None:
        """Let the process's pipes go."""
        for key in list(self._selector.get_map().values()):
            if key.data:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
        self._forget_pidfd()

    def close(self) -> None:
        """Send the rest."""
        self.detach()
        self._send()
        self._selector.close()

    def _forget_pidfd(self) -> None:
        if self._pidfd >= 0:
            self._selector.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _take(self, stream: str, data: bytes) -> None:
        if self._left > 0:
            kept = data[: self._left]
            self._left -= len(kept)
            self._hold(stream, kept)
            if self._left <= 0:
                self._hold(stream, MARKER.format(limit=self._limit).encode())
            data = data[len(kept) :]
        self.dropped += len(data)

    def _hold(self, stream: str, data: bytes) -> None:
        if stream != self._held_stream or len(self._held) + len(data) > READ:
            self._send()
            self._held_stream = stream
        if not self._held:
            self._held_since = time.monotonic()
        self._held += data
        # What MAAS's scripts find at $OUTPUT_STDOUT_PATH and its like.
        for name in (stream, "combined"):
            with contextlib.suppress(OSError), (self._home / name).open("ab") as file:
                file.write(data)

    def _send(self) -> None:
        if self._held:
            send_output(self._spool, self._result, self._held_stream, self._held)
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
