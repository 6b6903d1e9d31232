# SPDX-License-Identifier: Apache-2.0
"""Which accelerator guests get. /dev/kvm is believed only after a real guest ran on it.

Seen: a cloud VM whose /dev/kvm (kvm_pvm) opens, runs SeaBIOS and then stops OVMF and every
Linux kernel with "KVM internal error" at their first floating point instruction. So the
probe boots OVMF, which needs paging, long mode, timers and the FPU, up to its boot manager.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from muster.lab.errors import CannotStart
from muster.lab.qemu import BINARY, OVMF_CODE, Accel

OVERRIDE = "MUSTER_LAB_ACCEL"
PARALLEL = "tcg-parallel"
# OVMF prints its first BdsDxe line after 3.6 s without KVM on a quiet machine; with it, in 1 s.
PROBE_LIMIT_S = 5.0
_ALIVE = b"BdsDxe"
_DEAD = b"internal error"


# When a guest's kernel patches itself (static keys), QEMU 7.2 lets one emulated CPU run what the
# other has half written: 6.12 died of "Oops: int3" within 500 switches of kernel.sched_schedstats,
# and in one of some thirty boots. With CPUs that take turns 4000 switches passed, with 10.0 side by
# side 1400. The price on two cores: one machine alone boots in 45 s instead of 30, two in the same.
_PARALLEL_SINCE = 10


async def choose(environ: Mapping[str, str], device: Path = Path("/dev/kvm")) -> Accel:
    """KVM when it runs guests, else emulation in the way that this QEMU does right."""
    if environ.get(OVERRIDE) == PARALLEL:
        return Accel("tcg", f"{OVERRIDE}={PARALLEL}")
    accel = await _choose(environ, device)
    if accel.name == "kvm" or (version := await _major_version()) >= _PARALLEL_SINCE:
        return accel
    reason = f"{accel.reason}; a machine's CPUs take turns, as QEMU {version} is older than 10"
    return replace(accel, reason=reason, parallel=False)


async def _major_version() -> int:
    """0 when it cannot be told."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(BINARY, "--version"), stdout=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        return 0
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
    found = re.search(rb"version (\d+)\.", output)
    return int(found[1]) if found else 0


async def _choose(environ: Mapping[str, str], device: Path) -> Accel:
    wish = environ.get(OVERRIDE, "")
    if wish in ("kvm", "tcg"):
        return Accel(wish, f"{OVERRIDE}={wish}")
    if wish:
        raise CannotStart(f"{OVERRIDE}={wish!r}: say kvm, tcg or {PARALLEL}, or leave it out")
    if not os.access(device, os.R_OK | os.W_OK):
        return Accel("tcg", f"no usable {device}: guests are emulated")
    if not OVMF_CODE.exists():
        return Accel("tcg", "KVM present but not tried, for want of the ovmf package: using TCG")
    if await runs_guests("kvm", limit_s=PROBE_LIMIT_S):
        return Accel("kvm", "KVM runs guests")
    return Accel("tcg", "KVM present but does not run guests: using TCG")


async def runs_guests(accel: str, *, limit_s: float) -> bool:
    """True when OVMF reaches its boot manager on this accelerator within the limit."""
    process = await asyncio.create_subprocess_exec(
        *_probe_argv(accel),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit_s):
            return await _speaks(process.stdout)
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _speaks(output: asyncio.StreamReader) -> bool:
    seen = b""
    while chunk := await output.read(4096):
        seen += chunk
        if _DEAD in seen:
            return False
        if _ALIVE in seen:
            return True
    return False


def _probe_argv(accel: str) -> list[str]:
    return [
        *(BINARY, "-no-user-config", "-nodefaults", "-machine", "q35,graphics=off"),
        *("-accel", accel, "-cpu", "host" if accel == "kvm" else "Nehalem", "-m", "128"),
        *("-display", "none", "-vga", "none", "-serial", "stdio", "-net", "none"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}"),
    ]
