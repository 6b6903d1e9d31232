# SPDX-License-Identifier: Apache-2.0
"""The phases of a boot, in order, with what each may take and what helps when it does not end.

A boot is one attempt of a machine to start, from its first DHCP packet on. Its timeline is a
list of marks (phase, status, detail); the phase after the last mark is what we wait for.
"""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """A step of the journey; the value is what people read on the timeline."""

    DHCP = "dhcp"
    LOADER = "loader"
    KERNEL = "kernel"
    NETWORK = "network"
    FIRMWARE = "firmware"
    SWIFT = "swift"
    ROOT = "root"
    METADATA = "metadata"
    AGENT = "agent"
    DRIVERS = "drivers"
    SCRIPTS = "scripts"
    END = "end"


class Purpose(StrEnum):
    """What the boot answer said."""

    ENLIST = "enlist"
    COMMISSION = "commission"
    TEST = "test"
    LOCAL = "local"
    REFUSED = "refused"


ORDER: tuple[Phase, ...] = tuple(Phase)


@dataclass(frozen=True)
class Wait:
    """What we wait for after a phase: seconds at most, and the remedy when it does not come."""

    seconds: float
    remedy: str


# Limits are about ten times what an emulated machine takes (BIOS reaches the kernel in 3.4 s,
# UEFI in 11 s, all of it under three times that on a loaded host), so that a slow server's
# memory training between DHCP and loader is not called a failure.
AFTER: dict[Phase, Wait] = {
    Phase.DHCP: Wait(
        120,
        "the machine got an address but did not fetch the boot loader: check that TFTP (UDP 69) is"
        " not filtered and that no other DHCP server names another boot file; if this server was"
        " restarted meanwhile, switch the machine off and on: firmware gives up TFTP that was cut",
    ),
    Phase.LOADER: Wait(
        120,
        "the loader got its script but the kernel never spoke: check that HTTP to the server is not"
        " filtered and that the machine has at least 2 GiB of memory",
    ),
    Phase.KERNEL: Wait(
        120,
        "the kernel runs but found no network: see its console; the NIC may need a driver or"
        " firmware that the image lacks",
    ),
    Phase.NETWORK: Wait(
        300,
        "the initrd has an address but no root file system: check the path to the image's URL",
    ),
    Phase.FIRMWARE: Wait(
        300,
        "the initrd has the firmware of its devices but no root file system: check the path to the"
        " image's URL",
    ),
    Phase.SWIFT: Wait(
        120,
        "the small root of a swift start is there but its agent never said hello: see the console",
    ),
    Phase.ROOT: Wait(
        120,
        "the root file system is there but the metadata URL was not reached: check the server's"
        " address as the machine sees it (setting: url)",
    ),
    Phase.METADATA: Wait(
        300,
        "the operating system started but the agent never said hello: see the console for"
        " cloud-init's errors",
    ),
    Phase.AGENT: Wait(120, "the agent said hello and then fell silent: see the console"),
    Phase.DRIVERS: Wait(
        120, "the drivers are there and then the agent fell silent: see the console"
    ),
    Phase.SCRIPTS: Wait(
        120,
        "no heartbeat: the machine hangs, lost power or its network is cut; results stay",
    ),
}


def later(phase: Phase, than: Phase) -> bool:
    """True when `phase` comes after `than` on the journey."""
    return ORDER.index(phase) > ORDER.index(than)
