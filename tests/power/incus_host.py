"""Debian 13's Incus as a host of containers, in a root of its own: Debian 12 does not have it.

The root is built once, as an image's is, by mmdebstrap from this machine's sources (2 minutes, 390
MB in build/). What the daemon writes is in memory and goes with it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from tests.power.lxd_host import LxdHost
from tests.server.running import wait_for

from muster.images import sources

SUITE = "trixie"
BUILD_LIMIT_S = 900
ROOT = Path(__file__).parents[2] / "build" / f"incus-{SUITE}"
# A chroot will not do: the kernel gives no user namespace to who lives in one (user_namespaces(7)).
_START = """
set -e
cd "$ROOT"
mount --bind . . && cd "$ROOT"
mount --rbind /proc proc && mount --rbind /dev dev && mount --bind "$GIVEN" mnt
for folder in tmp run var/lib/incus var/log/incus var/cache/incus; do
  mkdir -p $folder && mount -t tmpfs -o mode=755 tmpfs $folder
done
mkdir tmp/old tmp/cgroup && mount --rbind /sys/fs/cgroup tmp/cgroup
mount -t sysfs sysfs sys && mount --move tmp/cgroup sys/fs/cgroup
pivot_root . tmp/old && umount -l /tmp/old
ip link set lo up && ip link add br0 type bridge
exec setpriv --pdeathsig KILL incusd --group root --logfile /var/log/incus/incusd.log
"""
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/incus"


def lacking() -> str:
    """Why it cannot be had here, or ""."""
    for program in ("mmdebstrap", "busybox"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if "ID=debian" not in Path("/etc/os-release").read_text().splitlines():
        return "only Debian's sources have it"
    return "" if os.geteuid() == 0 else "Incus needs root"


def build() -> None:
    """Make ROOT, unless it is there."""
    if ROOT.exists():
        return
    ROOT.parent.mkdir(exist_ok=True)
    codename, own = sources.read()
    with tempfile.TemporaryDirectory(dir=ROOT.parent, prefix="incus-") as folder:
        listed = Path(folder, "these.sources")
        stanzas = sources.swap_suite(own, codename, SUITE)
        listed.write_text("\n".join(one.stanza() for one in stanzas))
        words = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--include=incus"]
        made = f"{folder}/root"
        subprocess.run([*words, SUITE, made, str(listed)], check=True, timeout=BUILD_LIMIT_S)
        os.replace(made, ROOT)


class IncusHost(LxdHost):
    """A running Incus that trusts nobody yet; `lxc` types its `incus`."""

    DAEMON = "incusd"
    CLIENT = "incus"
    START = _START

    def __enter__(self) -> Self:
        # Before, its namespaces are not its own yet.
        wait_for(lambda: Path(f"/proc/{self.process.pid}/comm").read_text() == "incusd\n")
        return super().__enter__()

    def environment(self, folder: Path) -> dict[str, str]:
        """Of the daemon and of commands, which are run in its root."""
        return {"PATH": _PATH, "HOME": "/root", "ROOT": str(ROOT), "GIVEN": str(folder)}

    def inside(self, *words: str) -> list[str]:
        """The command that runs these in the daemon's namespaces."""
        enter = ["nsenter", "-t", str(self.process.pid), "-m", "-n"]
        return [*enter, "env", f"PATH={_PATH}", "HOME=/root", *words]

    def seen_inside(self, file: Path) -> str:
        """The path of a file of the host's folder."""
        return f"/mnt/{file.name}"

    def token(self) -> str:
        """A trust token."""
        return self.lxc("config", "trust", "add", "muster").strip().splitlines()[-1]


@pytest.fixture(scope="session")
def incus_host() -> Iterator[IncusHost]:
    if reason := lacking():
        pytest.skip(reason)
    build()
    with tempfile.TemporaryDirectory(prefix="incus-") as folder, IncusHost(Path(folder)) as host:
        yield host
