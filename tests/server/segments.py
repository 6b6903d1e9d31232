"""A network of our own: a namespace with a bridge or a pair of ends, gone with the test."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/proc/self/ns/net"),
    reason="making a network namespace needs root",
)


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def in_own_network(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread with a network namespace of its own; its children inherit it."""

    def run() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace here: {os.strerror(ctypes.get_errno())}")
        ip("link set lo up")
        return work()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


def lldp_speaker(socket: Path, *more: str, every_s: int) -> list[str]:
    """The command line of an lldpd that speaks this often; others must be able to read the folder.

    By a file, as lldpd sets itself to its defaults by a command some time after its socket is
    there, and then speaks every 30 s whatever it was told before.
    """
    told = socket.with_suffix(".conf")
    told.write_text(f"configure lldp tx-interval {every_s}\n")
    return ["lldpd", "-d", "-u", str(socket), "-O", str(told), *more]


class Client:
    """A machine's end of a cable, in a namespace of its own (dnsmasq must not reach it by lo)."""

    MAC = "52:54:00:aa:bb:01"

    def __init__(self, server_end: str, address: str) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "300"])
        self._wait_for_namespace()
        ip(f"link add {server_end} type veth peer name eth0 address {self.MAC}")
        ip(f"link set eth0 netns {self._holder.pid}")
        ip(f"addr add {address} dev {server_end}")
        ip(f"link set {server_end} up")
        self.run("ip link set lo up")
        self.run("ip link set eth0 up")

    def _wait_for_namespace(self) -> None:
        ours = os.readlink("/proc/thread-self/ns/net")
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == ours:
            assert self._holder.poll() is None

    def inside(self, *words: str) -> list[str]:
        """The command line that runs `words` at this end."""
        return ["nsenter", "-t", str(self._holder.pid), "-n", *words]

    def run(self, command: str) -> str:
        inside = self.inside(*command.split())
        done = subprocess.run(inside, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    def discover(self, vendor: str = "", *options: str) -> str:
        """One DHCP exchange as a network boot client makes it; returns what udhcpc says."""
        words = f"busybox udhcpc -f -q -n -t 3 -T 1 -s /bin/true -i eth0 {' '.join(options)}"
        return self.run(f"{words} -V {vendor}" if vendor else words)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
