# SPDX-License-Identifier: Apache-2.0
"""The first exchange of a boot: who am I (Hello), what shall I do (Welcome)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from muster.wire.codec import Limited, limited


@dataclass(frozen=True)
class Nic(Limited):
    """One network interface as the ephemeral OS sees it; `mac` is the permanent address."""

    mac: str = limited(most=64)
    name: str = limited(most=64, default="")
    driver: str = limited(most=64, default="")
    bus: str = limited(most=32, default="")


@dataclass(frozen=True)
class Evidence(Limited):
    """What identifies the machine: SMBIOS type 1 and 2 strings as the kernel shows them, NICs."""

    uuid: str = limited(most=64, default="")
    serial: str = limited(most=256, default="")
    vendor: str = limited(most=256, default="")
    product: str = limited(most=256, default="")
    board_serial: str = limited(most=256, default="")
    nics: list[Nic] = limited(most=512, factory=list)


@dataclass(frozen=True)
class Hello(Limited):
    """The agent's first message. `key` is a secret made in this boot; the nonce is bound to it,

    so that an answer lost on the wire can be asked for again and a stolen nonce cannot.
    """

    evidence: Evidence
    nonce: str = limited(most=128)
    key: str = limited(most=128)
    boot_mac: str = limited(most=64, default="")
    architecture: str = limited(most=32, default="")
    firmware: Literal["bios", "uefi", ""] = ""
    kernel: str = limited(most=256, default="")
    agent_version: str = limited(most=64, default="")

    def __post_init__(self) -> None:
        """An empty secret would make every machine's nonce fit every other's key."""
        super().__post_init__()
        for name in ("nonce", "key"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must not be empty")


@dataclass(frozen=True)
class Snap(Limited):
    """One snap package; `channel` and `mode` as snapd names them, empty for its defaults."""

    name: str
    channel: str = ""
    mode: Literal["", "classic", "dev", "jail"] = ""


@dataclass(frozen=True)
class Packages(Limited):
    """What a script needs beyond the image: Debian packages, snaps, files by address."""

    apt: list[str] = limited(most=256, factory=list)
    snap: list[Snap] = limited(most=64, factory=list)
    url: list[str] = limited(most=64, factory=list)


Parallel = Literal["disabled", "instance", "any"]
Needs = Literal["inventory", "tools", "system"]


@dataclass(frozen=True)
class ScriptItem(Limited):
    """One script of a run: fetch it by `sha256`, report under `result`; timeout 0: no limit.

    `holds` are resources that no other script may hold meanwhile: "cpu", "disk:sda", "nic:eth0",
    "disk:*". `has_started`: a script that may reboot goes on after the reboot. `runtime_s` is what
    $RUNTIME says when a parameter sets it, else that is the timeout. `built_in`: muster's own; the
    commissioning ones with `parallel` any only look. `secret`: it may ask
    for something at /agent/secrets/RESULT that is written nowhere else.
    `needs`: the initrd's small root is enough ("inventory"), the image's tools, or systemd too.
    """

    result: int
    name: str
    sha256: str
    script_type: str = "commissioning"
    timeout_s: float = 0.0
    done: bool = False
    parallel: Parallel = "disabled"
    arguments: list[str] = limited(most=256, factory=list)
    holds: list[str] = limited(most=256, factory=list)
    packages: Packages = field(default_factory=Packages)
    may_reboot: bool = False
    has_started: bool = False
    runtime_s: float = 0.0
    built_in: bool = False
    secret: bool = False
    needs: Needs = "system"


@dataclass(frozen=True)
class Plan(Limited):
    """The run as it stands now: what one script found may have added others.

    `bodies`: small scripts in base64 by their sha256, which need not be fetched one by one.
    """

    scripts: list[ScriptItem] = limited(most=4096, factory=list)
    bodies: dict[str, str] = limited(most=4096, factory=dict)


@dataclass(frozen=True)
class Welcome(Limited):
    """The server's answer: run these scripts, hold (ask again after `retry_s`), or denied.

    `bodies` as in Plan.
    """

    decision: Literal["run", "hold", "denied"]
    reason: str = ""
    retry_s: float = 5.0
    token: str = ""
    machine: str = ""
    mode: Literal["enlist", "commission", "test", ""] = ""
    scripts: list[ScriptItem] = limited(most=4096, factory=list)
    bodies: dict[str, str] = limited(most=4096, factory=dict)
    heartbeat_s: float = 10.0
    flush_s: float = 0.5
    output_limit: int = 10 * 1024 * 1024
    after: Literal["poweroff", "stay"] = "poweroff"
