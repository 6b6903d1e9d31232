"""A stock image as the tests' material: what Ubuntu publishes for netboot, of Debian's parts.

Nothing of muster is in it: kernel and udev, the initrd of initramfs-tools with every driver and
`overlayroot`, cloud-init with its own configuration, netplan, sshd. What differs from Ubuntu's
(ephemeral-v3): Debian's packages; and `root=squash:URL` is understood by the scripts in this
folder, as Debian does not carry `cloud-initramfs-rooturl`. They do what that package does, in the
place where it does it: a BOOT script of initramfs-tools whose `mountroot` configures the NIC of
BOOTIF, fetches with wget and mounts by loop. No snapd, no `cloud-initramfs-copymods`.
"""

import hashlib
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from muster.images import command, sources
from muster.images.root import EPOCH
from muster.images.tree import RootTar

HERE = Path(__file__).parent
SUITE = "trixie"
PACKAGES = (
    *("linux-image-amd64", "initramfs-tools", "busybox", "zstd", "overlayroot", "e2fsprogs"),
    *("systemd-sysv", "systemd-resolved", "udev", "dbus", "kmod", "netbase", "iproute2"),
    *("cloud-init", "netplan.io", "python3", "curl", "ca-certificates", "openssh-server"),
    *("lshw", "ethtool", "pciutils", "dmidecode", "sudo", "locales"),
)
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
FILES = ("kernel", "initrd", "squashfs")


def build(folder: Path) -> dict[str, Path]:
    """The three files below `folder`, built when this recipe's are not there (100 s)."""
    own = sorted(path for path in HERE.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()[:12]
    target = folder / digest
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            work.chmod(0o755)
            _make(work)
            made = work / "made"
            made.rename(target)
    return {name: target / name for name in FILES}


def _make(work: Path) -> None:
    codename, own = sources.read()
    listed = work / "stock.sources"
    listed.write_text("\n".join(s.stanza() for s in sources.swap_suite(own, codename, SUITE)))
    scripts = "/usr/share/initramfs-tools"
    copies = {
        "hook": f"{scripts}/hooks/rooturl",
        "premount": f"{scripts}/scripts/init-premount/rooturl",
        "rooturl": f"{scripts}/scripts/rooturl",
    }
    hooks = [f'mkdir -p "$1"{scripts}/scripts/init-premount']
    hooks += [f"upload {shlex.quote(str(HERE / name))} {path}" for name, path in copies.items()]
    hooks += [
        f'chroot "$1" chmod 755 {" ".join(copies.values())}',
        'chroot "$1" update-initramfs -c -k all',
        f"tar-out /boot {shlex.quote(str(work / 'boot.tar'))}",
        'rm -rf "$1"/boot/* "$1"/etc/ssh/ssh_host_* && : > "$1"/etc/machine-id',
        # As in Ubuntu's.
        'echo "LABEL=cloudimg-rootfs / ext4 defaults 0 1" > "$1"/etc/fstab',
    ]
    mode = "root" if os.geteuid() == 0 else "unshare"
    command.run(
        "stock image",
        [
            *("mmdebstrap", "--variant=minbase", "--format=tar", f"--mode={mode}"),
            *('--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"'),
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            f"--include={','.join(PACKAGES)}",
            *(f"--customize-hook={hook}" for hook in hooks),
            *(SUITE, str(work / "root.tar"), str(listed)),
        ],
        heard=lambda line: print(line, file=sys.stderr),
        environment={"SOURCE_DATE_EPOCH": str(EPOCH), "INITRD": "No"},
    )
    (work / "made").mkdir()
    with RootTar(work / "boot.tar") as boot:
        (kernel,) = (found[1] for name in boot.names if (found := _KERNEL.fullmatch(name)))
        (work / "made" / "kernel").write_bytes(boot.read(f"boot/vmlinuz-{kernel}"))
        (work / "made" / "initrd").write_bytes(boot.read(f"boot/initrd.img-{kernel}"))
    squashfs = ["mksquashfs", "-", str(work / "made" / "squashfs"), *_SQUASHFS]
    command.run("stock image", squashfs, stdin=work / "root.tar")


_SQUASHFS = (
    *("-tar", "-comp", "zstd", "-Xcompression-level", "3", "-root-mode", "755"),
    *("-no-progress", "-quiet"),
)
_KERNEL = re.compile(r"boot/vmlinuz-(.+)")
