# SPDX-License-Identifier: Apache-2.0
"""Waiting for a file to grow, without polling: inotify(7) through the C library."""

import contextlib
import ctypes
import os
import re
import select
import time
from collections.abc import Iterator
from pathlib import Path

_IN_MODIFY = 0x2
_IN_ATTRIB = 0x4  # also a lost link: the file was deleted while we hold it open

# Terminal codes of firmware consoles: CSI, OSC, two-byte escapes, then other control bytes.
_CONTROLS = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
    rb"|[\x00-\x08\x0b-\x1f\x7f]"
)


def plain(raw: bytes) -> str:
    """Text without terminal codes: what a guest writes must not drive the reader's terminal."""
    return _CONTROLS.sub(b"", raw).decode(errors="replace")


def growth(path: Path, *, limit_s: float | None = None) -> Iterator[bytes]:
    """Yield the file's bytes from its start, then more as they come, until the limit passes.

    Ends too when the file is deleted. `limit_s` None follows for ever.
    """
    deadline = None if limit_s is None else time.monotonic() + limit_s
    with _watch(path) as notices, path.open("rb") as file:
        while True:
            if chunk := file.read():
                yield chunk
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([notices], [], [], left)
            if not readable:
                return
            os.read(notices, 65536)
            if not path.exists():
                return


@contextlib.contextmanager
def _watch(path: Path) -> Iterator[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1", str(path))
    try:
        if libc.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY | _IN_ATTRIB) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(path))
        yield fd
    finally:
        os.close(fd)
