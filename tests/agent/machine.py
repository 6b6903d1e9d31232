"""A machine for the agent: the packed file, its folder, the server it talks to, its scripts."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.server.running import LiveServer, wait_for

from muster.lifecycle import shelf
from muster.metadata import pack
from muster.scripts.format import Script
from muster.store import runs
from muster.store.engine import Store
from muster.store.runs import Result


def script(name: str, body: str | bytes, *, timeout: int = 0, **fields: Any) -> Script:
    """A commissioning script without metadata; a text gets `#!/bin/sh`."""
    source = f"#!/bin/sh\n{body}\n".encode() if isinstance(body, str) else body
    sha256 = hashlib.sha256(source).hexdigest()
    words = {"script_type": "commissioning", "timeout": timeout} | fields
    return Script(name=name, source=source, sha256=sha256, **words)


class Machine:
    """Boots, runs the packed agent as a process, and looks at what the server has of it."""

    def __init__(
        self, folder: Path, store: Store, server: LiveServer, patch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self.store = store
        self.server = server
        self.process: subprocess.Popen[bytes] | None = None
        self._patch = patch
        folder.mkdir(exist_ok=True)
        self.pack = folder / "agent.pyz"
        self.pack.write_bytes(pack.packed())

    def boot(self, *scripts: Script) -> None:
        """The loader asks; the run will be of these scripts."""
        self._patch.setattr(shelf.catalogue, "for_enlist", lambda: list(scripts))
        self.reboot()

    def reboot(self) -> None:
        """The memory file system is empty and there is a new nonce; the run is the server's."""
        for left in ("spool", "scripts"):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        (self.folder / "session.json").unlink(missing_ok=True)
        query = "mac=52:54:00:12:34:01&arch=x86_64"
        with urllib.request.urlopen(f"{self.server.url}/boot/ipxe?{query}") as answer:
            found = re.search(r"/boot/report/(\S+)", answer.read().decode())
        assert found
        config = {"server": self.server.url, "nonce": found[1], "power": False}
        (self.folder / "agent.json").write_text(json.dumps(config))

    def start(self, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, "-I", "-S", str(self.pack), "run", str(self.folder)],
            stdout=(self.folder / "console").open("ab"),
            stderr=subprocess.STDOUT,
        )

    def forget(self) -> None:
        """As if this machine had never been seen."""
        with self.store.write() as tx:
            tx.exec_driver_sql("DELETE FROM machines")
            tx.exec_driver_sql("DELETE FROM boots")

    def kill_agent_only(self) -> bool:
        """As the OOM killer does: what the scripts started lives on. False when none lived."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.kill()
        return True

    def kill(self) -> None:
        """As a crash does, and with it the script, as systemd does with the unit's group."""
        assert self.process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False
        )
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pid in children.stdout.split():
            try:
                os.killpg(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def finish(self, *, seconds: float = 30) -> int:
        """Wait for the agent's own end; returns its exit status."""
        assert self.process is not None
        return self.process.wait(timeout=seconds)

    def run(self, *scripts: Script, seconds: float = 30) -> dict[str, Result]:
        """A whole boot from loader to end; returns results by name."""
        self.boot(*scripts)
        self.start()
        assert self.finish(seconds=seconds) == 0, self.console()
        return self.results()

    def results(self) -> dict[str, Result]:
        with self.store.read() as tx:
            newest = tx.exec_driver_sql("SELECT max(id) FROM runs").scalar()
            return {result.name: result for result in runs.results_of(tx, int(newest or 0))}

    def output(self, name: str, stream: str = "combined") -> bytes:
        result = self.results()[name].id
        with self.store.read() as tx:
            return runs.output(tx, result, stream=stream)

    def wait_for_state(self, name: str, state: str) -> None:
        wait_for(lambda: (found := self.results().get(name)) and found.state == state)

    def console(self) -> str:
        return (self.folder / "console").read_text()

    def status(self) -> dict[str, Any]:
        """The run's and the machine's state."""
        with self.store.read() as tx:
            run = tx.exec_driver_sql("SELECT state, reason FROM runs ORDER BY id DESC").first()
            assert run is not None
            return dict(run._mapping)
