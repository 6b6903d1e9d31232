"""Debian's LXD as a host of containers: a daemon in network and mount namespaces of its own.

Nothing of it is seen outside but one port on loopback, which a thread carries into its network.
"""

import asyncio
import ctypes
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

START_LIMIT_S = 90
CLONE_NEWNET = 0x40000000
_START = """
mkdir -p "$LXD_DIR/cgroup" && mount --rbind /sys/fs/cgroup "$LXD_DIR/cgroup"
mount -t sysfs sysfs /sys && mount --rbind "$LXD_DIR/cgroup" /sys/fs/cgroup
ip link set lo up && ip link add br0 type bridge
exec setpriv --pdeathsig KILL lxd --group root --logfile "$LXD_DIR/lxd.log"
"""
_METADATA = b"architecture: x86_64\ncreation_date: 1\nproperties: {description: busybox}\n"


def lacking() -> str:
    """Why no containers can be had here, or ""."""
    for program, package in (("lxd", "lxd"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install {package})"
    return "" if os.geteuid() == 0 else "LXD needs root"


class LxdHost:
    """A running LXD that trusts nobody yet; `address` reaches it over TLS."""

    DAEMON, CLIENT, START = "lxd", "lxc", _START

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        nowhere = "http://127.0.0.1:9"
        proxies = {"HTTPS_PROXY": nowhere, "https_proxy": nowhere}
        self._environment = self.environment(folder) | proxies
        self.process = subprocess.Popen(
            ["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", self.START],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.address = ""

    def environment(self, folder: Path) -> dict[str, str]:
        """Of the daemon and of commands."""
        return os.environ | {"LXD_DIR": str(folder)}

    def inside(self, *words: str) -> list[str]:
        """The command that runs these where the daemon is."""
        return list(words)

    def seen_inside(self, file: Path) -> str:
        """The path of a file of the host's folder, for the daemon's own commands."""
        return str(file)

    def __enter__(self) -> Self:
        try:
            self._run(self.DAEMON, "waitready", f"--timeout={START_LIMIT_S}")
            self.lxc("config", "set", "core.https_address", "127.0.0.1:8443")
            self.lxc("storage", "create", "pool1", "dir")
            self.lxc("image", "import", self.seen_inside(self._image()), "--alias", "busybox")
            port = _carry_into(self.process.pid, 8443)
            self.address = f"127.0.0.1:{port}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # SIGTERM alone would leave its containers running.
        shutdown = self.inside(self.DAEMON, "shutdown", "--timeout=20")
        subprocess.run(shutdown, env=self._environment, timeout=60)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)

    def lxc(self, *words: str) -> str:
        """What the host's own operator types there; returns what is printed."""
        return self._run(self.CLIENT, *words, "--force-local")

    def instances(self) -> dict[str, str]:
        """Status by name, by LXD's own client."""
        return {one["name"]: one["status"] for one in json.loads(self.lxc("list", "--format=json"))}

    def token(self) -> str:
        """A trust token."""
        return self.lxc("config", "trust", "add", "--name=muster").strip().splitlines()[-1]

    def trusted(self) -> list[dict[str, Any]]:
        """The clients that it trusts."""
        found: list[dict[str, Any]] = json.loads(
            self.lxc("config", "trust", "list", "--format=json")
        )
        return found

    def _run(self, *words: str) -> str:
        ended = subprocess.run(
            self.inside(*words),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S + 10,
        )
        assert ended.returncode == 0, f"{words}: {ended.stderr}{ended.stdout}"
        return ended.stdout

    def _image(self) -> Path:
        """A root file system of one program, which sleeps."""
        busybox = Path(str(shutil.which("busybox"))).read_bytes()
        init = b"#!/bin/busybox sh\ntrap 'exit 0' TERM PWR INT\nwhile :; do sleep 1; done\n"
        file = self._folder / "busybox.tar"
        with tarfile.open(file, "w") as archive:
            for name, body in (
                ("metadata.yaml", _METADATA),
                ("rootfs/bin/busybox", busybox),
                ("rootfs/bin/sh", busybox),
                ("rootfs/bin/sleep", busybox),
                ("rootfs/sbin/init", init),
            ):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(body), 0o755
                archive.addfile(entry, io.BytesIO(body))
            for name in ("dev", "proc", "sys", "etc", "tmp", "run", "root", "var"):
                entry = tarfile.TarInfo(f"rootfs/{name}")
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
        return file


def _carry_into(pid: int, target: int) -> int:
    """A port on loopback here, carried to `target` in the network of process `pid`."""
    listener = socket.create_server(("127.0.0.1", 0))

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    def work() -> None:
        # A thread may have a network of its own; a socket stays where it was made.
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        assert ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) == 0
        os.close(descriptor)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.start_server(carry, sock=listener))
        loop.run_forever()

    threading.Thread(target=work, daemon=True).start()
    return int(listener.getsockname()[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    writer.close()


@pytest.fixture(scope="session")
def lxd_host() -> Iterator[LxdHost]:
    if reason := lacking():
        on_debian = "ID=debian" in Path("/etc/os-release").read_text().splitlines()
        if on_debian and "lxd" in os.environ.get("MUSTER_TEST_REQUIRE", ""):
            pytest.fail(f"MUSTER_TEST_REQUIRE names lxd, but {reason}")
        pytest.skip(reason)
    # Not in pytest's own folder, which is closed to the user that root is in a container.
    with tempfile.TemporaryDirectory(prefix="lxd-") as folder, LxdHost(Path(folder)) as host:
        yield host
