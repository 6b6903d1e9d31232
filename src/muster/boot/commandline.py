# SPDX-License-Identifier: Apache-2.0
"""The kernel command line of the ephemeral OS, the same from every loader."""

from muster.images.manifest import Manifest
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.policy import Policy


def command_line(plan: BootPlan, policy: Policy, image: Manifest, *, nic: str) -> str:
    """What the initrd and cloud-init read; see images/files/initrd/init for each word.

    `nic` is the loader's own variable for the MAC it booted from.
    """
    files = policy.files_url or policy.url
    metadata = policy.metadata_url or policy.url
    squashfs = image.files["squashfs"]
    words = [
        f"root=squash:{files}/boot/files/{squashfs.sha256}/squashfs",
        f"muster.sha256={squashfs.sha256} muster.size={squashfs.size}",
        f"muster.report={policy.url}/boot/report/{plan.nonce}",
        # dsmode=net: the cloud-init 22.4 of Debian 12 finds no seed on the network without it.
        f"ds=nocloud;dsmode=net;s={metadata}/metadata/{plan.nonce}/",
        *([f"BOOTIF=01-{nic}"] if nic else []),
        "console=tty0 console=ttyS0,115200",
    ]
    if plan.start == "swift" and image.swift:
        words.append("muster.start=swift")
    return " ".join(words)
