# SPDX-License-Identifier: Apache-2.0
"""The lab's state folder: what is in it, who may use it, and how it goes away.

The lock is held by the process that waits for the whole pid namespace to end, so a free
lock means that no QEMU, dnsmasq or server of this lab is alive any more.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from muster.lab.errors import AlreadyUp, CannotStart

LOCK = "muster-lab.lock"
PASSWORD = "bmc-password"
# What a lab makes. Nothing else in the folder is ever deleted.
CONTENTS = (
    *("machines", "data", "lab.json", "lab.json.new", "control.sock"),
    *("supervisor.log", "server.log", "router.log", PASSWORD),
)
# sun_path of unix(7) holds 108 bytes with the closing zero.
_SOCKET_PATH_LIMIT = 107
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def default_folder(name: str, environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_RUNTIME_DIR") or "/run") / "muster-lab" / name


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CannotStart(
            f"lab name {name!r}: use a small letter, then up to 30 of a-z, 0-9 and '-'"
        )
    return name


def make(folder: Path) -> None:
    """Create the folder, or take over one that a lab left. Refuses anybody else's folder."""
    if len(os.fsencode(folder / "control.sock")) > _SOCKET_PATH_LIMIT:
        raise CannotStart(
            f"{folder}: too long for a unix socket (over {_SOCKET_PATH_LIMIT} bytes); "
            "name a shorter one with --dir"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entries = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise CannotStart(f"{error}: name a folder of your own with --dir") from error
    if entries and LOCK not in entries:
        raise CannotStart(f"{folder} holds something else: name a new or empty folder with --dir")


@contextlib.contextmanager
def locked(folder: Path, *, limit_s: float = 0) -> Iterator[int]:
    """Hold the folder's lock; yields its file descriptor, which a child may inherit.

    Raises AlreadyUp when a lab still holds it after the limit.
    """
    fd = _take(folder / LOCK, limit_s)
    try:
        yield fd
    finally:
        os.close(fd)


def _take(path: Path, limit_s: float) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # flock(1) waits for the event with a limit, which flock(2) cannot.
            waited = subprocess.run(
                ["flock", "--timeout", str(limit_s), str(fd)], pass_fds=[fd], check=False
            )
            if waited.returncode:
                os.close(fd)
                raise AlreadyUp(
                    f"a lab already runs in {path.parent}: "
                    "give another --name, or end it with `muster lab down`"
                ) from None
        # Whoever held the lock before may have deleted the file with its folder.
        if path.exists() and os.fstat(fd).st_ino == path.stat().st_ino:
            return fd
        os.close(fd)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def clear(folder: Path) -> None:
    """Delete what a lab made, but for the lock. The caller holds the lock."""
    for name in CONTENTS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove(folder: Path) -> list[str]:
    """Delete the lab's folder; returns the names of foreign files for which it had to stay."""
    clear(folder)
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name != LOCK)
    (folder / LOCK).unlink(missing_ok=True)
    if not foreign:
        folder.rmdir()
        with contextlib.suppress(OSError):
            # The parent muster-lab/ goes with its last lab.
            if folder.parent.name == "muster-lab":
                folder.parent.rmdir()
    return foreign


def last_words(log: Path, lines: int = 15) -> str:
    """The end of a log, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or f"{log} is empty"
