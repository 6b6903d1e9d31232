"""A lab with real firmware and a real server that the caller may kill; for tests and benches."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.server.segments import lldp_speaker

from muster.cli.client import ApiError, Client, machine_path
from muster.lab.client import Lab
from muster.lab.launch import open_listener

LLDP_EVERY_S = 5
PASSWORD = "only-in-this-lab"
POWER = "http://127.0.0.1:8970/machines"
# Emulated machines on a loaded 2-core host take up to four times as long as on a quiet one.
SLOW = 300.0


class Served:
    """A lab, and a server in its network that is this test's own process."""

    def __init__(self, lab: Lab, folder: Path, images: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.images = images
        self.flags: dict[str, str] = {}
        self.within: list[str] = []
        """The words that start the server elsewhere than on the lab's bridge (nsenter ...)."""
        self.listener: socket.socket = open_listener("127.0.0.1:0")
        self.process: subprocess.Popen[bytes] | None = None
        self._key = ""

    @property
    def url(self) -> str:
        """Where this test reaches the server."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def start(self, **flags: str) -> None:
        """Start the server, with other settings if wanted, and sign in the first time."""
        self.flags = flags or self.flags
        (self.folder / "password").write_text(PASSWORD)
        given = {"interface": "br0", "dhcp": "own"} | self.flags
        command = [*self.within, sys.executable, "-m", "muster", "serve"]
        command += ["--data", str(self.folder / "data"), "--images", str(self.images)]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        environment = os.environ | {"MUSTER_FIRST_PASSWORD_FILE": str(self.folder / "password")}
        with (self.folder / "server.log").open("ab") as log:
            self.process = self.lab.run_inside(
                command, listen=self.listener, env=environment, stdout=log, stderr=log
            )
        self.wait("the server answers", self._answers, limit_s=60)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
        with contextlib.suppress(ApiError):
            if not self._key:
                body = {"user": "admin", "password": PASSWORD}
                self._key = Client(self.url).send("POST", "/login", body)["key"]
            return bool(self.api.get("/whoami"))
        return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the server and see it gone."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)

    @property
    def api(self) -> Client:
        """The API as a person with the CLI uses it."""
        return Client(self.url, self._key)

    def wait(self, what: str, ready: Callable[[], Any], *, limit_s: float = SLOW) -> Any:
        """The first true answer of `ready`; fails with the timelines after the limit."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if found := ready():
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {limit_s:.0f} s\n{self.timelines()}")

    def timelines(self) -> str:
        """Every boot's timeline as text, for a failure's message."""
        lines = []
        with contextlib.suppress(ApiError):
            for boot in self.api.get("/boots"):
                lines.append(f"boot {boot['id']} {boot['mac']} {boot['purpose']}")
                lines += [
                    f"  {m['after_s']:8.2f} {m['phase']} {m['status']} {m['detail']}"
                    for m in boot["timeline"]
                ]
        return "\n".join(lines)

    def record(self, name: str) -> dict[str, Any] | None:
        """The record of a lab machine, found by its MAC as a person would."""
        macs = self.lab.machine(name).document()["macs"]
        found = [m for m in self.api.every("list_machines") if set(m["macs"]) & set(macs)]
        assert len(found) <= 1, f"{name} has {len(found)} records"
        return found[0] if found else None

    def enlist(self, *names: str) -> list[dict[str, Any]]:
        """Switch machines on and wait until each is surveyed and off again."""
        for name in names:
            self.lab.machine(name).on()
        for name in names:
            self.wait(f"{name} is surveyed", lambda name=name: self._surveyed(name))
            self.lab.machine(name).wait_until("stopped", limit_s=SLOW)
        return [self.record(name) or {} for name in names]

    def _surveyed(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and record["surveyed_at"] is not None

    def wire_power(self, name: str) -> str:
        """Tell the server how to switch this machine; returns the record's id."""
        record = self.record(name)
        assert record is not None
        parameters = {
            "power_on_uri": f"{POWER}/{name}/on",
            "power_off_uri": f"{POWER}/{name}/off",
            "power_query_uri": f"{POWER}/{name}",
        }
        body = {"driver": "webhook", "parameters": parameters}
        self.api.send("PUT", machine_path(record["id"], "/power"), body)
        return str(record["id"])

    def boots(self, machine: str) -> list[dict[str, Any]]:
        """A machine's boots, newest first."""
        found: list[dict[str, Any]] = self.api.get(machine_path(machine, "/boots"))
        return found

    def last_run(self, machine: str) -> dict[str, Any]:
        """A machine's newest run."""
        found: dict[str, Any] = self.api.get(machine_path(machine, "/runs"), limit=1)[0]
        return found


@contextlib.contextmanager
def lldp_switch(served: Served) -> Iterator[None]:
    """lldpd on the lab's bridge ports; a bridge forwards no LLDP (IEEE 802.1D, 7.12.6)."""
    with tempfile.TemporaryDirectory(prefix="muster-lldp-") as folder:
        Path(folder).chmod(0o755)
        socket = Path(folder) / "socket"
        ports = ("-S", "lab switch", "-I", "*,!lo,!br0")
        words = lldp_speaker(socket, *ports, every_s=LLDP_EVERY_S)
        with (served.folder / "lldpd.log").open("wb") as log:
            running = served.lab.run_inside(words, stdout=log, stderr=log)
            served.wait("lldpd starts", socket.exists, limit_s=30)
            yield
        running.terminate()
        running.wait(30)


def wall_over_slowest(results: list[dict[str, Any]]) -> float:
    """From the first script's start to the last one's end, over the slowest script."""
    ran = [result for result in results if result["started_at"]]
    began = min(datetime.fromisoformat(result["started_at"]) for result in ran)
    ended = max(datetime.fromisoformat(result["ended_at"]) for result in ran)
    slowest = max(result["runtime_s"] for result in ran)
    return round((ended - began).total_seconds() / float(slowest), 2)
