# SPDX-License-Identifier: Apache-2.0
"""The kernel command line of the ephemeral OS, the same from every loader."""

from muster.images.manifest import PARTS, Manifest
from muster.lifecycle.enlist import BootPlan
from muster.lifecycle.policy import Policy

CONSOLES = "console=tty0 console=ttyS0,115200"
ARM64_CONSOLE = "console=ttyAMA0,115200"
"""PL011 of Arm's base boards; the last console that is there becomes /dev/console."""


def path(image: Manifest, name: str, boot: str) -> str:
    """Where a loader fetches one of an image's files, on whose behalf."""
    return f"/boot/files/{image.files[name].sha256}/{name.replace('/', '-')}?boot={boot}"


def command_line(plan: BootPlan, policy: Policy, image: Manifest, *, nic: str) -> str:
    """What the initrd and cloud-init read, and then what people added for this machine.

    `nic` is the loader's own variable for the MAC it booted from.
    """
    files = policy.files_url or policy.url
    root = f"root=squash:{files}/boot/files/{image.files['squashfs'].sha256}/squashfs"
    words = [root, *(_stock(plan, policy) if image.origin else _own(plan, policy, image))]
    if nic:
        words.append(f"BOOTIF=01-{nic}")
    words.append(CONSOLES)
    if image.arch == "arm64":
        words.append(ARM64_CONSOLE)
    if plan.start == "swift" and image.swift:
        words.append("muster.start=swift")
        parts = [name for name in PARTS if name in image.files]
        words += [f"muster.{name}={image.files[name].sha256}" for name in parts]
    if plan.kernel_options:
        words.append(plan.kernel_options)
    return " ".join(words)


def _own(plan: BootPlan, policy: Policy, image: Manifest) -> list[str]:
    """See images/files/initrd/init for each word."""
    squashfs = image.files["squashfs"]
    return [
        f"muster.sha256={squashfs.sha256} muster.size={squashfs.size}",
        f"muster.report={policy.url}/boot/report/{plan.nonce}",
        _nocloud(plan, policy),
    ]


def _stock(plan: BootPlan, policy: Policy) -> list[str]:
    """What the initrds of Ubuntu's images for netboot know: rooturl, overlayroot, ip= and BOOTIF=.

    `ip=dhcp` and not `ip=::::NAME:BOOTIF`, which Debian's initramfs-tools takes for a NIC's name.
    overlayroot looks for its configuration on no disk of the machine. No `ro`: it would make
    its overlay read-only, and the mount of util-linux 2.41 (Debian 13) cannot make that writable
    again; initramfs-tools mounts the squashfs read-only anyhow.
    """
    return [
        "ip=dhcp ip6=off overlayroot=tmpfs overlayroot_cfgdisk=disabled",
        _maas(plan, policy) if plan.datasource == "maas" else _nocloud(plan, policy),
    ]


def _nocloud(plan: BootPlan, policy: Policy) -> str:
    # dsmode=net: the cloud-init 22.4 of Debian 12 finds no seed on the network without it.
    return f"ds=nocloud;dsmode=net;s={policy.metadata_url or policy.url}/metadata/{plan.nonce}/"


def _maas(plan: BootPlan, policy: Policy) -> str:
    """ds-identify looks for the list by its brackets; the address alone starts no cloud-init."""
    preseed = f"{policy.metadata_url or policy.url}/MAAS/metadata/latest/by-id/{plan.nonce}/"
    return (
        "cc:{'datasource_list':['MAAS']}end_cc"  # no blank: GRUB and iPXE would part it
        f" cloud-config-url={preseed}?op=get_preseed"
    )
