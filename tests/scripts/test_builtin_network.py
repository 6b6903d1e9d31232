"""Built-in scripts that hear others: a real dnsmasq and a real lldpd at the end of a cable."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.server.running import wait_for
from tests.server.segments import Client, in_own_network, lldp_speaker, needs_root

from muster.images.recipe import HERE
from muster.lifecycle import readings
from muster.metadata.pack import packed
from muster.scripts.catalogue import builtin

pytestmark = [pytest.mark.e2e, needs_root]

# A virtual cable's end has no device behind it, which is how the scripts know a NIC; and /sys shows
# the network that its mount was made in.
RUN = """
import importlib.machinery, importlib.util, subprocess, sys
from pathlib import Path
subprocess.run(["mount", "-t", "sysfs", "none", "/sys"], check=True)
loader = importlib.machinery.SourceFileLoader("script", sys.argv[1])
script = importlib.util.module_from_spec(importlib.util.spec_from_loader("script", loader))
loader.exec_module(script)
script.physical = lambda: ["eth0"]
sys.exit(script.main())
"""

# The same for a script in shell: what it looks at is put into its own mounts.
MOUNTS = """
set -e
mount -t sysfs none /sys
index=$(cat /sys/class/net/eth0/ifindex)
mount -t tmpfs none /sys/class/net
mkdir -p /sys/class/net/eth0/device
echo 1 >/sys/class/net/eth0/carrier
echo "$index" >/sys/class/net/eth0/ifindex
mount -t tmpfs none /run
"""
LISTEN = f"""{MOUNTS}
touch /run/lldpd.socket
mount --bind "$2" /run/lldpd.socket
exec "$1"
"""

# What the initrd does: its listener is there before lldpd, which this machine has none of.
EARLY = f"""{MOUNTS}
python3 -I -S - /run/muster/lldp <"$2" &
tries=0
until ls /run/muster/lldp/"$index"-* 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || {{ kill $!; echo "nothing heard"; exit 1; }}
    sleep 0.05
done >&2
"$1"
wait $!
"""


def run(
    client: Client, name: str, folder: Path, *more: str
) -> "subprocess.CompletedProcess[bytes]":
    (source,) = (script.source for script in builtin("commissioning") if script.name == name)
    file = folder / name
    file.write_bytes(source)
    words = client.inside("unshare", "--mount", sys.executable, "-c", RUN, str(file), *more)
    return subprocess.run(words, capture_output=True, timeout=60, check=False)


def listen(
    client: Client, folder: Path, lldpd: int, socket: Path
) -> "subprocess.CompletedProcess[bytes]":
    """99-maas-01-capture-lldp, to which `lldpd` is the machine's only one."""
    (script,) = (s for s in builtin("commissioning") if s.name == "99-maas-01-capture-lldp")
    for name, body in (("script", script.source), ("pgrep", f"#!/bin/sh\necho {lldpd}\n".encode())):
        (folder / name).write_bytes(body)
        (folder / name).chmod(0o755)
    words = ["unshare", "--mount", "sh", "-c", LISTEN, "sh", str(folder / "script"), str(socket)]
    path = {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(
        client.inside(*words), capture_output=True, timeout=90, check=False, env=path
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """lldpd gives its rights up and must still reach its socket."""
    with tempfile.TemporaryDirectory(prefix="muster-lldp-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def daemon(*words: str) -> Iterator[int]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_dhcp_tells_the_subnet_and_takes_no_lease(tmp_path: Path) -> None:
    def work() -> None:
        client = Client("srv0", "10.77.0.1/24")
        leases = tmp_path / "leases"
        serve = "dnsmasq --no-daemon --port=0 --interface=srv0 --bind-interfaces --no-ping"
        ranges = f"--dhcp-range=10.77.0.50,10.77.0.60,1h --dhcp-leasefile={leases} -u root"
        try:
            with daemon(*serve.split(), *ranges.split(), "--domain=lab.example"):
                done = run(client, "00-maas-05-dhcp-unconfigured-ifaces", tmp_path)
            assert done.returncode == 0, done.stderr
            (nic,) = readings.subnets(done.stdout)
            assert (nic["interface"], nic["mac"], nic["link"]) == ("eth0", Client.MAC, True)
            (offer,) = nic["offers"]
            assert (offer["subnet"], offer["server"]) == ("10.77.0.0/24", "10.77.0.1")
            assert (offer["routers"], offer["domain"]) == (["10.77.0.1"], "lab.example")
            assert "10.77" not in client.run("ip -4 addr show dev eth0")
            assert not leases.exists() or leases.read_text() == ""
        finally:
            client.close()

    in_own_network(work)


def test_dhcp_where_nobody_offers_says_so_in_time(tmp_path: Path) -> None:
    def work() -> None:
        client = Client("srv0", "10.77.0.1/24")
        try:
            done = run(client, "00-maas-05-dhcp-unconfigured-ifaces", tmp_path)
            (nic,) = readings.subnets(done.stdout)
            assert (nic["link"], nic["offers"]) == (True, [])
        finally:
            client.close()

    in_own_network(work)


@pytest.mark.skipif(shutil.which("lldpd") is None, reason="lldpd is not installed here")
def test_lldp_ends_as_soon_as_the_switch_was_heard(tmp_path: Path, open_folder: Path) -> None:
    def work() -> None:
        client = Client("srv0", "10.77.0.1/24")
        switch, listener = open_folder / "switch.socket", open_folder / "machine.socket"
        hears = ("lldpd", "-d", "-M", "4", "-r", "-u", str(listener), "-I", "eth0")
        name = ("-M", "4", "-S", "a switch", "-m", "10.77.0.1", "-I", "srv0")
        speaks = lldp_speaker(switch, *name, every_s=1)
        try:
            with daemon(*client.inside(*hears)) as pid, daemon(*speaks):
                wait_for(listener.exists)
                done = listen(client, tmp_path, pid, listener)
            assert done.returncode == 0, done.stderr
            assert done.stderr == b""
            (neighbour,) = readings.lldp(done.stdout)
            assert (neighbour["interface"], neighbour["via"]) == ("eth0", "LLDP")
            assert neighbour["description"] == "a switch"
            assert neighbour["management"] == ["10.77.0.1"]
            assert neighbour["port"] == "srv0"
        finally:
            client.close()

    in_own_network(work)


@pytest.mark.skipif(shutil.which("lldpd") is None, reason="lldpd is not installed here")
def test_what_was_heard_before_lldpd_ran_is_enough(tmp_path: Path, open_folder: Path) -> None:
    def work() -> None:
        client = Client("srv0", "10.77.0.1/24")
        switch = open_folder / "switch.socket"
        words = lldp_speaker(switch, "-M", "4", "-S", "a switch", "-I", "srv0", every_s=1)
        (tmp_path / "agent.pyz").write_bytes(packed())
        (script,) = (s for s in builtin("commissioning") if s.name == "99-maas-01-capture-lldp")
        (tmp_path / "script").write_bytes(script.source)
        (tmp_path / "script").chmod(0o755)
        early = ["unshare", "--mount", "sh", "-c", EARLY, "sh", str(tmp_path / "script")]
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MUSTER_AGENT": f"{tmp_path}/agent.pyz"}
        try:
            with daemon(*words):
                inside = client.inside(*early, str(HERE / "files/initrd/bin/listen"))
                done = subprocess.run(inside, capture_output=True, timeout=60, env=path)
            assert done.returncode == 0, done.stderr
            (neighbour,) = readings.lldp(done.stdout)
            assert (neighbour["interface"], neighbour["via"]) == ("eth0", "LLDP")
            assert (neighbour["description"], neighbour["port"]) == ("a switch", "srv0")
        finally:
            client.close()

    in_own_network(work)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("lldpd") is None, reason="lldpd is not installed here")
def test_lldp_where_nobody_speaks_ends_35_s_after_lldpd_began(
    tmp_path: Path, open_folder: Path
) -> None:
    def work() -> None:
        client = Client("srv0", "10.77.0.1/24")
        listener = open_folder / "machine.socket"
        words = client.inside("lldpd", "-d", "-r", "-u", str(listener), "-I", "eth0")
        try:
            with daemon(*words) as pid:
                wait_for(listener.exists)
                began = time.monotonic()
                done = listen(client, tmp_path, pid, listener)
                took = time.monotonic() - began
            assert done.returncode == 0, done.stderr
            assert done.stderr == b"nothing heard on eth0\n"
            assert readings.lldp(done.stdout) == []
            assert 25 < took < 45
        finally:
            client.close()

    in_own_network(work)
