"""A hall of machines is powered on within ten seconds: JSON on the last line.

    python -m tests.bench.storm [--machines 1000] [--within 10] [--restart]

One server process with its own dnsmasq on one end of a cable (veth), the machines on the other, in
network namespaces; generator and server share the same two processors. Each machine: DHCP and
TFTP of undionly.kpxe as a BIOS, DHCP as iPXE, its script, its boot answer, the whole kernel and
the whole initrd of the image, the initrd's reports, the small root, the agent, hello, the drivers.
Every 50th hashes what it fetched. `lost` counts machines that gave up or are not on record;
`answer_p99_ms` is of every boot answer, those that say "wait" too; `peak_mib` is of server and
dnsmasq. `cpu_s_per_gib`: user and system time of the server while 64 connections fetch 8 GiB of the
initrd, then of nginx's with its snippet on the same files and cable. --restart: the server is
killed in the storm's middle; who is then in TFTP gives up and goes through its boot order again.
"""

import argparse
import asyncio
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from tests.bench.ingest import cpu_s, status_kib
from tests.bench.pxe import Dhcp, Lost, Machine, Told, fetch
from tests.boot.test_nginx import configured
from tests.server.process import Served

from muster.boot.nginx import snippet
from muster.images.library import Library
from muster.lab.simulation import quantile
from muster.store.engine import Store
from muster.store.schema import boots, machines

SERVER, PORT, NGINX = "10.77.0.1", 8472, 8473
CHECK_EVERY = 50
CPU_GIB = 8
CORES = {0, 1}
CLONE_NEWNET = 0x40000000


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


@contextmanager
def cable() -> Iterator[None]:
    """This process is at the machines' end, its children at the server's when they ask for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNET) == 0, "a network namespace needs root"
    holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
    ours = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
        assert holder.poll() is None
    inside = ["nsenter", "-t", str(holder.pid), "-n", "ip"]
    ip("link set lo up")
    ip(f"link add cli0 type veth peer name srv0 netns {holder.pid}")
    ip("addr add 10.77.0.2/16 dev cli0")
    ip("link set cli0 up")
    # Every address of the pool is this host's, without a thousand of them on the interface.
    ip("route add local 10.77.128.0/17 dev lo")
    for words in ("link set lo up", f"addr add {SERVER}/16 dev srv0", "link set srv0 up"):
        subprocess.run([*inside, *words.split()], check=True)
    os.environ["STORM_NETNS"] = str(holder.pid)
    try:
        yield
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def at_server() -> Iterator[None]:
    """What this thread starts meanwhile is at the server's end of the cable."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        open("/proc/thread-self/ns/net") as here,
        open(f"/proc/{os.environ['STORM_NETNS']}/ns/net") as there,
    ):
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(here.fileno(), CLONE_NEWNET) == 0


class Server:
    """`muster serve` at its end of the cable; can be killed and started again."""

    def __init__(self, folder: Path, images: Path) -> None:
        self._folder = folder
        self._images = images
        self.peak_kib = 0
        self.start()

    def start(self) -> None:
        words = ("--images", str(self._images), "--interface", "srv0", "--dhcp", "own",
                 "--listen", f"{SERVER}:{PORT}")  # fmt: skip
        with at_server():
            self.served = Served(self._folder, *words)
        self.served.wait()

    def look(self) -> None:
        """Note the most memory that server and dnsmasq took."""
        found = 0
        for pid in (self.served.process.pid, *_children(self.served.process.pid)):
            try:
                found += status_kib(pid, "VmHWM")
            except (OSError, StopIteration):
                continue
        self.peak_kib = max(self.peak_kib, found)

    def kill(self) -> None:
        self.look()
        self.served.process.send_signal(signal.SIGKILL)
        self.served.process.wait()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


async def storm(
    count: int, within_s: float, told: Told, beside: Callable[[], object], limit_s: float
) -> None:
    """Every machine once, powered on at a moment of its own; `beside` runs in the middle."""
    loop = asyncio.get_running_loop()
    wire = Dhcp("cli0")
    await loop.create_datagram_endpoint(lambda: wire, sock=wire.socket)

    async def power_on(number: int) -> None:
        await asyncio.sleep(random.random() * within_s)
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit_s):
                await Machine(number, number % CHECK_EVERY == 0).boot(wire, SERVER, told)
            told.arrived_s.append(time.monotonic() - began)
        except (Lost, TimeoutError, OSError) as error:
            told.lost.append(f"machine {number}: {error or type(error).__name__}")

    async def middle() -> None:
        await asyncio.sleep(within_s / 2)
        await asyncio.to_thread(beside)

    await asyncio.gather(middle(), *(power_on(number) for number in range(count)))


def on_record(url: str, count: int) -> int:
    """Machines of the storm that are not there exactly once."""
    store = Store(url)
    with store.read() as tx:
        serials = list(tx.execute(sa.select(machines.c.serial)).scalars())
        started = tx.execute(sa.select(boots.c.id).where(boots.c.run_id.is_not(None))).all()
    store.close()
    wanted = {f"SIM{number:07d}" for number in range(count)}
    wrong = len(wanted - set(serials)) + len(serials) - len(set(serials))
    return max(wrong, count - len(started))


async def fetch_many(port: int, path: str, size: int) -> None:
    told = Told()
    left = iter(range(CPU_GIB * 1024**3 // size))

    async def worker() -> None:
        for _ in left:
            await fetch("10.77.0.2", f"http://{SERVER}:{port}{path}", told)

    await asyncio.gather(*(worker() for _ in range(64)))


def cpu_per_gib(pids: list[int], port: int, path: str, size: int) -> float:
    before = sum(cpu_s(pid) for pid in pids)
    asyncio.run(fetch_many(port, path, size))
    spent = sum(cpu_s(pid) for pid in pids) - before
    return round(spent / (CPU_GIB * 1024**3 // size * size / 1024**3), 3)


def nginx_cpu(folder: Path, library: Library, path: str, size: int) -> float:
    lines = snippet(library.root, f"http://{SERVER}:{NGINX}").replace("listen [::]", "#")
    words = configured(folder / "nginx", lines)
    with at_server():
        child = subprocess.Popen(words)
    try:
        while not (workers := _children(child.pid)):
            assert child.poll() is None
            time.sleep(0.05)
        return cpu_per_gib(workers, NGINX, path, size)
    finally:
        child.terminate()
        child.wait(10)


def measure(folder: Path, library: Library, given: argparse.Namespace) -> dict[str, float]:
    told = Told()
    with cable():
        server = Server(folder / "data", library.root)
        os.sched_setaffinity(server.served.process.pid, CORES & os.sched_getaffinity(0))
        cpu = cpu_s(server.served.process.pid)

        def restart() -> None:
            server.kill()
            server.start()

        try:
            began = time.monotonic()
            beside = restart if given.restart else (lambda: None)
            asyncio.run(storm(given.machines, given.within, told, beside, given.limit))
            took = time.monotonic() - began
            server.look()
            spent = cpu_s(server.served.process.pid) - (0 if given.restart else cpu)
            entry = library.in_use().files["initrd"]
            path = f"/boot/files/{entry.sha256}/initrd"
            ours = cpu_per_gib([server.served.process.pid], PORT, path, entry.size)
            theirs = nginx_cpu(folder, library, path, entry.size)
        finally:
            server.served.stop()
    absent = on_record(f"sqlite:///{folder}/data/muster.db", given.machines)
    for line in told.lost[:10]:
        print(line, file=sys.stderr)
    print(
        f"{took:.1f} s for all; machines took {quantile(told.arrived_s, 0.5):.1f} s (p50),"
        f" {quantile(told.arrived_s, 1):.1f} s (longest); {told.fetched / 2**30:.1f} GiB fetched,"
        f" {told.hashed} files hashed; {len(told.answers_s)} answers, {told.waits} told to wait,"
        f" p50 {quantile(told.answers_s, 0.5) * 1000:.0f} ms; server CPU {spent:.1f} s;"
        f" repeated: {told.repeated}",
        file=sys.stderr,
    )
    return {
        "machines": given.machines,
        "lost": max(absent, len(told.lost)),
        "answer_p99_ms": round(quantile(told.answers_s, 0.99) * 1000, 1),
        "peak_mib": round(server.peak_kib / 1024),
        "cpu_s_per_gib": ours,
        "nginx_cpu_s_per_gib": theirs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--within", type=float, default=10.0)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--restart", action="store_true")
    given = parser.parse_args()
    library = Library(Path(os.environ.get("MUSTER_IMAGES", "build/images")).absolute())
    with tempfile.TemporaryDirectory(prefix="muster-storm-") as folder:
        figures = measure(Path(folder), library, given)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
