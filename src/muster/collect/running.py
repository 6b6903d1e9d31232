# SPDX-License-Identifier: Apache-2.0
"""Other programs, several at once and with a limit. Without `subprocess`, whose import alone

costs as much as half the survey.
"""

import os
import select
import signal
import time

from muster.wire.shape import dataclass, field

OUTPUT_LIMIT = 1 << 20
AT_ONCE = 8
_FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
_ENVIRONMENT = {"PATH": ":".join(_FOLDERS), "LC_ALL": "C"}


class TooSlow(Exception):
    """A program did not end within its limit; a disk that is dying may hold it for ever."""


@dataclass
class _Child:
    pid: int
    pipe: int
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0


def which(name: str) -> str:
    """The path of an installed program, "" if there is none."""
    paths = (f"{folder}/{name}" for folder in _FOLDERS)
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def outputs(commands: list[list[str]], seconds: float) -> list[bytes | Exception]:
    """What each command prints, in their order, whatever its exit code; `seconds` for them all.

    In place of an output stands OSError (could not be started) or TooSlow.
    """
    found: list[bytes | Exception] = [TooSlow(f"no end within {seconds:g} s") for _ in commands]
    waiting = list(enumerate(commands))
    running: dict[int, _Child] = {}
    deadline = time.monotonic() + seconds
    while (waiting or running) and time.monotonic() < deadline:
        while waiting and len(running) < AT_ONCE:
            number, command = waiting.pop(0)
            try:
                running[number] = _start(command)
            except OSError as error:
                found[number] = error
        if running:
            _listen(running, found, deadline)
    for child in running.values():
        _end(child)
    return found


def _start(command: list[str]) -> _Child:
    read, write = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
    ]
    try:
        pid = os.posix_spawn(command[0], command, _ENVIRONMENT, file_actions=actions)
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
    return _Child(pid, read)


def _listen(running: dict[int, _Child], found: list[bytes | Exception], deadline: float) -> None:
    """Wait for something to read; a child whose pipe ends is done."""
    pipes = {child.pipe: number for number, child in running.items()}
    ready, _, _ = select.select(list(pipes), [], [], max(0.0, deadline - time.monotonic()))
    for pipe in ready:
        child = running[pipes[pipe]]
        chunk = os.read(pipe, 65536)
        child.chunks.append(chunk)
        child.size += len(chunk)
        if not chunk or child.size > OUTPUT_LIMIT:
            found[pipes[pipe]] = b"".join(child.chunks)
            del running[pipes[pipe]]
            _end(child)


def _end(child: _Child) -> None:
    """Kill what still runs. One that a dead disk holds in the kernel is left, not waited for."""
    os.close(child.pipe)
    ended, _ = os.waitpid(child.pid, os.WNOHANG)
    if not ended:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, os.WNOHANG)
