# SPDX-License-Identifier: Apache-2.0
"""Starts and ends the supervisor, from the host's side."""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from muster.lab import bmc, qemu
from muster.lab import folder as state
from muster.lab.errors import AlreadyUp, CannotStart, NotUp
from muster.lab.machines import Firmware, Machine, refuse_clashing_macs
from muster.lab.supervisor import Plan

READY_LIMIT_S = 60.0
DOWN_LIMIT_S = 30.0
# An unshare that waits for a namespace to end after kill -9 took under 0.1 s.
CRASH_LIMIT_S = 5.0

_NAMESPACES = ["--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
_AS_USER = ["--user", "--map-root-user"]
_TOOLS = {
    qemu.BINARY: "qemu-system-x86",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "flock": "util-linux",
}


def start(
    *,
    name: str,
    folder: Path,
    machines: list[Machine],
    server: list[str] | None,
    server_env: Mapping[str, str],
    listen: socket.socket | None,
    leash_fd: int | None = None,
) -> None:
    """Start a lab and wait until its control socket answers. Every failure leaves nothing behind.

    `server` is the argument list of a server to keep inside the lab; `listen`, a listening
    socket of the host's namespace, is handed to it as file descriptor 3. `leash_fd` is
    explained in supervisor.Plan.
    """
    refuse_clashing_macs(machines)
    check_host(machines)
    user_namespace = choose_namespace()
    state.make(folder)
    # After a crash the kernel may still be ending the namespace: that is worth a short wait.
    with state.locked(folder, limit_s=0 if _answers(folder) else CRASH_LIMIT_S) as lock:
        state.clear(folder)
        plan = Plan(
            name=name,
            folder=str(folder),
            machines=machines,
            server=server,
            server_env=dict(server_env),
            listen_fd=listen.fileno() if listen else None,
            server_url="http://{}:{}".format(*listen.getsockname()) if listen else None,
            user_namespace=user_namespace,
            ready_fd=-1,
            proc_fd=-1,
            leash_fd=leash_fd,
        )
        try:
            _spawn(plan, lock)
        except BaseException:
            state.remove(folder)
            raise


def _spawn(plan: Plan, lock: int) -> None:
    folder = Path(plan.folder)
    ready, ready_fd = os.pipe()
    proc_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    plan = msgspec.structs.replace(plan, ready_fd=ready_fd, proc_fd=proc_fd)
    given = [lock, ready_fd, proc_fd]
    given += [fd for fd in (plan.listen_fd, plan.leash_fd) if fd is not None]
    flags = [*_NAMESPACES, *(_AS_USER if plan.user_namespace else [])]
    with (folder / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", *flags, sys.executable, "-m", "muster.lab.supervisor"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": _path()},
            pass_fds=given,
            start_new_session=True,
        )
    os.close(ready_fd)
    os.close(proc_fd)
    try:
        with os.fdopen(ready, "rb") as pipe:
            _hand_over(process, plan)
            _await_ready(pipe, folder)
    except BaseException:
        # --kill-child: the supervisor, and so its whole namespace, ends with unshare.
        process.kill()
        process.wait()
        raise


def _hand_over(process: "subprocess.Popen[bytes]", plan: Plan) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(msgspec.json.encode(plan))
    except BrokenPipeError:
        # It died before it read: _await_ready finds its last words.
        return


def _await_ready(pipe: Any, folder: Path) -> None:
    readable, _, _ = select.select([pipe], [], [], READY_LIMIT_S)
    line = pipe.readline() if readable else b""
    answer: dict[str, Any] = json.loads(line) if line else {}
    if answer.get("ready"):
        return
    words = answer.get("error") or state.last_words(folder / "supervisor.log")
    raise CannotStart(f"the lab did not start: {words}")


def stop(folder: Path) -> list[str]:
    """End a lab, running or crashed, and delete its folder.

    Returns the names of files in the folder that are not the lab's and were left.
    """
    if not (folder / state.LOCK).exists():
        raise NotUp(f"no lab in {folder}: nothing to take down")
    pid = control_pid(folder)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
    try:
        with state.locked(folder, limit_s=DOWN_LIMIT_S if pid else CRASH_LIMIT_S):
            return state.remove(folder)
    except AlreadyUp:
        if pid is None:
            raise
    _signal(pid, signal.SIGKILL)
    with state.locked(folder, limit_s=CRASH_LIMIT_S):
        return state.remove(folder)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise NotUp(
            f"the lab belongs to another user (pid {pid}): take it down as that user"
        ) from (error)


def control_pid(folder: Path) -> int | None:
    """The supervisor's pid as this process sees it, or None when nothing listens.

    The kernel names the listener itself (SO_PEERCRED, unix(7)), so the answer is never stale.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(folder / "control.sock"))
        except OSError:
            return None
        packed = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", packed)[0]
    # 0 means a lab in a pid namespace that cannot be seen, and kill(0) would hit ourselves.
    return pid or None


def _answers(folder: Path) -> bool:
    """Whether a supervisor speaks. One that was killed this instant still listens, and never will.

    What ends it closes this connection, too, so there is nothing to wait for blindly.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CRASH_LIMIT_S)
        try:
            probe.connect(str(folder / "control.sock"))
            probe.sendall(b"GET /lab HTTP/1.0\r\n\r\n")
            return bool(probe.recv(1))
        except OSError:
            return False


def check_host(machines: list[Machine]) -> None:
    """Refuse, with the package to install, when a tool of the lab is missing."""
    missing = [
        f"{tool} (apt install {package})" for tool, package in _TOOLS.items() if not _has(tool)
    ]
    missing += bmc.missing({machine.bmc for machine in machines})
    wants_uefi = any(machine.firmware is not Firmware.BIOS for machine in machines)
    files = (qemu.OVMF_CODE, qemu.OVMF_VARS, qemu.SECURE_CODE, qemu.SECURE_VARS)
    absent = [file for file in files if not file.exists()]
    if wants_uefi and absent:
        missing.append(f"{absent[0]} (apt install ovmf)")
    if missing:
        raise CannotStart(f"the lab needs: {', '.join(missing)}")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise CannotStart(
            "/dev/net/tun is missing or not open to you: run as root, "
            "or `modprobe tun` and `chmod 0666 /dev/net/tun`"
        )


def _has(tool: str) -> bool:
    return shutil.which(tool, path=_path()) is not None


def _path() -> str:
    # Debian keeps dnsmasq and ip in sbin, which is not on an ordinary user's path.
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def choose_namespace() -> bool:
    """True when the lab must live in a user namespace of its own; tried, not guessed."""
    words = ""
    for user_namespace in (False, True):
        flags = [*_NAMESPACES, *(_AS_USER if user_namespace else [])]
        trial = subprocess.run(
            ["unshare", *flags, "true"], capture_output=True, text=True, check=False
        )
        if trial.returncode == 0:
            return user_namespace
        words = trial.stderr.strip()
    raise CannotStart(
        f"{words}: run as root, or allow unprivileged user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0)"
    )


def _reason(error: OSError) -> str:
    # create_server() adds a clause to strerror that repeats the address.
    return os.strerror(error.errno) if error.errno else str(error)


def open_listener(listen: str) -> socket.socket:
    """A listening socket for HOST:PORT in the caller's network namespace; port 0 takes any."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise CannotStart(f"--listen {listen!r}: say HOST:PORT, for example 127.0.0.1:8472")
    try:
        return socket.create_server((host, int(port)))
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {listen}: {_reason(error)}; choose another with --listen"
        ) from error
