# SPDX-License-Identifier: Apache-2.0
"""A lab in Python: up, power, consoles, waiting, down. For commands and for tests.

with Lab.up(name="try", orders=[Order(name="m1")]) as lab:
    lab.machine("m1").on()
    lab.machine("m1").wait_for("iPXE", limit_s=30)
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from muster.lab import activation, errors, launch
from muster.lab import folder as state
from muster.lab.follow import growth, plain
from muster.lab.machines import Order, build

# Longer than the slowest verb: a cycle is a stop (5 s grace) and QEMU's greeting (30 s).
CALL_LIMIT_S = 60.0


class Machine:
    """One machine of a running lab. Power verbs return its new document when they are done."""

    def __init__(self, lab: "Lab", name: str) -> None:
        self._lab, self.name = lab, name
        self.folder = lab.folder / "machines" / name
        self.serial_log = self.folder / "serial.log"

    def document(self) -> dict[str, Any]:
        return self._lab.call("GET", f"/machines/{self.name}")

    @property
    def status(self) -> str:
        """running or stopped."""
        return str(self.document()["status"])

    def on(self) -> dict[str, Any]:
        return self._lab.call("POST", f"/machines/{self.name}/on")

    def off(self) -> dict[str, Any]:
        return self._lab.call("POST", f"/machines/{self.name}/off")

    def cycle(self) -> dict[str, Any]:
        return self._lab.call("POST", f"/machines/{self.name}/cycle")

    def reset(self) -> dict[str, Any]:
        return self._lab.call("POST", f"/machines/{self.name}/reset")

    def boot_from(self, device: str) -> dict[str, Any]:
        """What the next start boots from, that one only: pxe, disk or none."""
        return self._lab.call("POST", f"/machines/{self.name}/boot/{device}")

    def link(self, index: int, *, up: bool) -> dict[str, Any]:
        """Plug or pull the cable of NIC `index`."""
        verb = "up" if up else "down"
        return self._lab.call("POST", f"/machines/{self.name}/nic/{index}/{verb}")

    def remove(self) -> None:
        self._lab.call("DELETE", f"/machines/{self.name}")

    def disk(self, index: int = 0) -> Path:
        """The raw image of one disk."""
        return self.folder / f"disk{index}.img"

    def serial_text(self) -> str:
        """The whole console since the machine was made, without terminal codes."""
        return plain(self.serial_log.read_bytes())

    def wait_for(self, pattern: str, *, limit_s: float) -> "re.Match[str]":
        """Wait until the console since the last power-on holds a regular expression.

        Raises TimedOut with the console's end.
        """
        raw, text = b"", ""
        for chunk in growth(self.serial_log, limit_s=limit_s):
            raw += chunk
            text = plain(raw).rpartition(f"=== {self.name}: power on ")[2]
            if found := re.search(pattern, text):
                return found
        raise errors.TimedOut(
            f"{self.name} did not print {pattern!r} within {limit_s:.0f} s; "
            f"its console ends: {text[-500:]!r}"
        )

    def wait_until(self, status: str, *, limit_s: float) -> dict[str, Any]:
        """Wait until the machine is running or stopped. Raises TimedOut."""
        path = f"/machines/{self.name}/until/{status}?within={limit_s}"
        return self._lab.call("GET", path, limit_s=limit_s + CALL_LIMIT_S)


class Lab:
    """A running lab. `facts` is lab.json: pid, sockets, server_url, accel, machines ..."""

    def __init__(self, folder: Path, leash: socket.socket | None = None) -> None:
        self.folder, self._leash = folder, leash

    @classmethod
    def up(
        cls,
        *,
        orders: Sequence[Order] = (),
        name: str = "lab",
        folder: Path | None = None,
        server: Sequence[str] | None = None,
        server_env: Mapping[str, str] | None = None,
        listen: socket.socket | None = None,
        tied: bool = False,
    ) -> "Lab":
        """Start a lab, its machines still off. Raises CannotStart or AlreadyUp.

        `server`: a command that the lab keeps alive in its network; it gets `listen`, a
        listening socket of this process, as file descriptor 3 (sd_listen_fds(3)).
        `tied`: the lab ends with this process, however that ends; only the folder stays.
        """
        state.check_name(name)
        folder = (folder or state.default_folder(name, os.environ)).absolute()
        ours, theirs = socket.socketpair()
        with theirs:
            launch.start(
                name=name,
                folder=folder,
                machines=[build(name, order) for order in orders],
                server=None if server is None else list(server),
                server_env=server_env or {},
                listen=listen,
                leash_fd=theirs.fileno() if tied else None,
            )
        return cls(folder, ours)

    @classmethod
    def load(cls, folder: Path) -> "Lab":
        """The lab that runs in this folder. Raises NotUp."""
        if launch.control_pid(folder) is None:
            crashed = (folder / "lab.json").exists()
            what = f"the lab in {folder} has died" if crashed else f"no lab runs in {folder}"
            raise errors.NotUp(f"{what}: start one with `muster lab up`")
        return cls(folder)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def facts(self) -> dict[str, Any]:
        return self.call("GET", "/lab")

    @property
    def pid(self) -> int:
        """The supervisor, in this process's pid namespace. Raises NotUp."""
        pid = launch.control_pid(self.folder)
        if pid is None:
            raise errors.NotUp(f"no lab runs in {self.folder}")
        return pid

    def machine(self, name: str) -> Machine:
        return Machine(self, name)

    def machines(self) -> list[Machine]:
        return [Machine(self, one["name"]) for one in self.call("GET", "/machines")["machines"]]

    def add(self, order: Order) -> Machine:
        self.call("POST", "/machines", msgspec.json.encode(order))
        return Machine(self, order.name)

    def network(self, *, up: bool) -> None:
        """Cut or mend the whole segment: server, machines, everything on the bridge."""
        self.call("POST", f"/network/{'up' if up else 'down'}")

    def server(self, verb: str | None = None) -> dict[str, Any]:
        """The kept server's state; with a verb (start, stop, restart), after that."""
        return self.call("POST", f"/server/{verb}") if verb else self.call("GET", "/server")

    def down(self) -> list[str]:
        """End the lab and delete its folder; returns foreign files for which that had to stay."""
        return launch.stop(self.folder)

    def run_inside(
        self, argv: Sequence[str], *, listen: socket.socket | None = None, **popen: Any
    ) -> "subprocess.Popen[Any]":
        """Start a command in the lab's network; the returned pid is the command's own.

        It sees the lab's network and the host's files and processes, and is the caller's to
        end: it does not die with the lab. `listen` becomes its file descriptor 3.
        """
        user = ["--user", "--preserve-credentials"] if self.facts["user_namespace"] else []
        inside = list(argv)
        if listen is not None:
            inside = activation.wrapped(listen.fileno(), inside)
            popen["pass_fds"] = [*popen.get("pass_fds", ()), listen.fileno()]
        command = ["nsenter", "--target", str(self.pid), *user, "--net", "--", *inside]
        return subprocess.Popen(command, **popen)

    def call(
        self, method: str, path: str, body: bytes | None = None, *, limit_s: float = CALL_LIMIT_S
    ) -> dict[str, Any]:
        """One request to the supervisor. Raises the LabError that its answer stands for."""
        connection = _UnixConnection(self.folder / "control.sock", limit_s)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            document: dict[str, Any] = json.loads(answer.read())
        except TimeoutError as error:
            raise errors.TimedOut(f"{method} {path}: no answer within {limit_s:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise errors.NotUp(f"the lab in {self.folder} does not answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise _KINDS.get(answer.status, errors.PowerFailed)(document["error"])
        return document


_KINDS: dict[int, type[errors.LabError]] = {
    400: errors.BadOrder,
    404: errors.NoSuchMachine,
    408: errors.TimedOut,
    409: errors.Conflict,
}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, limit_s: float) -> None:
        super().__init__("lab", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def default_orders(
    machines: int, firmware: Sequence[str], *, memory_mib: int, bmcs: Sequence[str] = ()
) -> list[Order]:
    """m1 to mN, with the kinds of firmware and BMC dealt out in turn. Raises BadOrder."""
    return [
        order(
            f"m{index + 1}",
            firmware[index % len(firmware)],
            memory_mib=memory_mib,
            bmc=bmcs[index % len(bmcs)] if bmcs else "",
        )
        for index in range(machines)
    ]


def order(name: str, firmware: str, *, memory_mib: int, bmc: str = "") -> Order:
    """An order from a person's words. Raises BadOrder with the field and what it takes."""
    words = {"name": name, "firmware": firmware, "memory_mib": memory_mib}
    try:
        return msgspec.convert(words | ({"bmc": bmc} if bmc else {}), type=Order)
    except msgspec.ValidationError as error:
        raise errors.BadOrder(f"machine {name!r}: {error}") from error


def server_command(folder: Path, data: Path | None) -> list[str]:
    """The product's own server, as the lab starts it: on the bridge, with its own DHCP."""
    serve = [sys.executable, "-m", "muster", "serve", "--interface", "br0", "--dhcp", "own"]
    return [*serve, "--data", str(data or folder / "data")]
