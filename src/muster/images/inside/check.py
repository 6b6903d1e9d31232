#!/usr/bin/python3
"""Run every tool of the image once: a library that is missing shows here, not on a machine.

A row is a command, the exit codes that it may have here (many tools find no hardware in a build),
and a text that its output must hold. The loader's own failures (127 and "error while loading shared
libraries") are never right.
"""

import re
import subprocess
import sys
from dataclasses import dataclass

# A tool of another architecture is emulated, some ten times slower.
TIMEOUT_S = 300


@dataclass(frozen=True)
class Check:
    """One tool: how to run it, which exit codes are right, what it must say (a pattern)."""

    command: str
    codes: tuple[int, ...] = (0,)
    says: str = ""


CHECKS = (
    Check("python3 -c 'import ssl, lzma, sqlite3, ctypes, yaml; print(ssl.OPENSSL_VERSION)'"),
    Check("cloud-init --version", says=r"\d\d\.\d"),
    Check("systemctl --version", says="systemd"),
    Check("udevadm --version", says=r"\d+"),
    Check("busybox true"),
    Check("modprobe --version", says="kmod"),
    Check("dbus-daemon --version", says="D-Bus"),
    Check("zstd --version", says="Zstandard"),
    Check("curl --version", says="https"),
    Check("ip -V", says="iproute2"),
    Check("ss -V", says="iproute2"),
    Check("dhcpcd --version", says="dhcpcd"),
    Check("sshd -V", (0, 1, 255), says="OpenSSH"),
    Check("ssh-keygen -q -t ed25519 -N '' -f /tmp/check-key"),
    Check("chronyd -v", says="chrony"),
    Check("lldpd -v", says=r"\d\.\d"),
    Check("lldpcli -v", says=r"\d\.\d"),
    Check("lshw -quiet -class system -json", says="id"),
    Check("lspci --version", says="lspci"),
    Check("lsusb --version", says="lsusb"),
    Check("lsblk --version", says="util-linux"),
    Check("lscpu --version", says="util-linux"),
    Check("dmidecode --version", says=r"\d\.\d"),
    Check("ethtool --version", says="ethtool"),
    Check("lsscsi --version", says=r"\d\.\d"),
    Check("smartctl --version", says="smartctl"),
    Check("nvme version", says="nvme version"),
    Check("sg_inq --version", says="ersion"),
    Check("hdparm -V", says="hdparm"),
    Check("mdadm --version", says="mdadm"),
    Check("parted --version", says="parted"),
    Check("efibootmgr --version", says="version"),
    Check("ipmitool -V", says="ipmitool version"),
    Check("ipmi-fru --version", says="ipmi-fru"),
    Check("ipmi-sensors --version", says="ipmi-sensors"),
    Check("ipmipower --version", says="ipmipower"),
    Check("ipmi-config --version", says="ipmi-config"),
    Check("tpm2_getcap --version", says="tpm2_getcap"),
    Check("tpm2_pcrread --version", says="tpm2_pcrread"),
    Check("numactl --show", (0, 1), says="(cpubind|nodebind|NUMA)"),
    Check(
        "stress-ng --cpu 1 --vm 1 --vm-bytes 8M --timeout 1s --temp-path /tmp", says="run completed"
    ),
    Check("memtester 1M 1", says="Done"),
    Check(
        "fio --name=check --filename=/tmp/check-fio --size=1M --rw=randrw --ioengine=psync",
        says="err= 0",
    ),
    # It calls itself what it was called: by its whole path where it is emulated.
    Check("badblocks", (0, 1), says=r"Usage: \S*badblocks"),
    Check("7zz i || 7z i", says="7-Zip"),
    Check("apt-get --version", says="apt"),
)


def problem(check: Check) -> str | None:
    """Run one tool; return what is wrong with it, or None."""
    try:
        done = subprocess.run(
            ["sh", "-c", check.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{check.command}: not done within {TIMEOUT_S} s"
    output = done.stdout.decode(errors="replace").strip()
    last = output.splitlines()[-1] if output else "(said nothing)"
    if done.returncode not in check.codes or "error while loading shared lib" in output:
        return f"{check.command}: exit code {done.returncode}: {last}"
    if not re.search(check.says, output):
        return f"{check.command}: does not say '{check.says}': {last}"
    return None


def main() -> int:
    problems = [text for check in CHECKS if (text := problem(check)) is not None]
    for text in problems:
        print(f"tool check: {text}", file=sys.stderr)
    print(f"-- {len(CHECKS) - len(problems)} of {len(CHECKS)} tools run in the root")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
