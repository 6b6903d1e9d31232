"""`muster` as a process."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.server.running import wait_for


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the person who runs the tests: no settings, no credentials."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MUSTER_", "XDG_"))}
    return kept | {"HOME": str(folder), "COLUMNS": "200", "NO_COLOR": "1"} | more


def muster(
    folder: Path, *words: str, stdin: str = "", timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [sys.executable, "-m", "muster", *words],
        input=stdin,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
    )


class Served:
    """A server process that is up; `password` is the first start's."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "muster", "serve", "--data", str(folder), *words],
                env=environment(folder),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        wait_for(lambda: "serving" in self.log() or self.process.poll() is not None, seconds=40)
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text())

    @property
    def url(self) -> str:
        found = re.search(r"url=(\S+)", self.log())
        assert found, self.log()
        return found[1].strip("'")

    @property
    def password(self) -> str:
        found = re.search(r"^ {4}(\S+)$", self.log(), re.MULTILINE)
        assert found, self.log()
        return found[1]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)


@contextlib.contextmanager
def served(folder: Path, *words: str) -> Iterator[Served]:
    server = Served(folder, *words)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
