"""Debian's LXD as a second witness: a daemon of our own, asked what hardware it sees.

It lives in a mount namespace of its own, where a folder can be mounted over /sys and /proc's files,
so that LXD reads a recorded machine without knowing. Needs root; changes nothing outside.
"""

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

START_LIMIT_S = 60
ANSWER_LIMIT_S = 30


class NoAnswer(Exception):
    """LXD's handler panicked (an empty reply) or failed (its own words)."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("lxd", timeout=ANSWER_LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Daemon:
    """A running `lxd`; a context manager, nothing of it survives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A daemon that cannot reach its proxy asks nobody on the network for instance types.
        nowhere = "http://127.0.0.1:9"
        self._environment = os.environ | {
            "LXD_DIR": str(folder),
            "HTTPS_PROXY": nowhere,
            "https_proxy": nowhere,
        }
        words = "unshare -m --propagation private setpriv --pdeathsig KILL lxd --group root"
        self._process = subprocess.Popen(
            [*words.split(), "--logfile", str(folder / "lxd.log")],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        try:
            self._lxd("waitready", f"--timeout={START_LIMIT_S}", limit=START_LIMIT_S + 10)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)

    @property
    def pid(self) -> int:
        """The daemon itself: unshare and setpriv became it."""
        return self._process.pid

    def resources(self) -> dict[str, Any]:
        """The answer to GET /1.0/resources; raises NoAnswer."""
        connection = _Connection(self._folder / "unix.socket")
        try:
            connection.request("GET", "/1.0/resources")
            answer = json.load(connection.getresponse())
        except http.client.RemoteDisconnected as error:
            raise NoAnswer("an empty reply: LXD's handler panicked") from error
        finally:
            connection.close()
        if answer.get("type") != "sync":
            raise NoAnswer(answer.get("error") or str(answer))
        return answer["metadata"]

    def run(self, *words: str | Path) -> bytes:
        """Run a command in the daemon's mount namespace; returns what it prints."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--", *map(str, words)]
        return subprocess.run(inside, check=True, stdout=subprocess.PIPE, timeout=60).stdout

    @contextmanager
    def mounted(self, places: dict[str, Path]) -> Iterator[None]:
        """Show the daemon these files and folders in place of the machine's own (target first)."""
        there = {target: source for target, source in places.items() if Path(target).exists()}
        script = 'while [ $# -gt 0 ]; do mount --bind "$2" "$1" || exit 1; shift 2; done'
        words = [word for pair in there.items() for word in pair]
        self.run("sh", "-c", script, "sh", *words)
        try:
            yield
        finally:
            self.run("umount", *reversed(there))

    def _lxd(self, *words: str, limit: int) -> None:
        subprocess.run(["lxd", *words], env=self._environment, check=True, timeout=limit)
