#!/usr/bin/python3
"""Make an installed Debian an ephemeral OS: what must not start, what must not be kept.

Runs once in the root, after all packages and our own files are in it. An ephemeral machine has no
yesterday and no tomorrow: whatever rotates, updates, trims, remembers or asks is masked.
"""

import compileall
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

MASKED_UNITS = (
    # Upkeep of a system that lives for weeks.
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "man-db.timer", "logrotate.timer"),
    *("systemd-tmpfiles-clean.timer", "mdcheck_start.timer", "mdcheck_continue.timer"),
    *("mdmonitor-oneshot.timer", "mdmonitor.service", "smartmontools.service", "ipmievd.service"),
    # Things that a build has done already, or that only an installed system needs.
    *("systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "ldconfig.service"),
    *("systemd-update-done.service", "systemd-firstboot.service", "systemd-sysusers.service"),
    *("systemd-machine-id-commit.service", "systemd-update-utmp.service"),
    *("systemd-update-utmp-runlevel.service", "systemd-journal-flush.service"),
    *("systemd-random-seed.service", "systemd-pstore.service", "systemd-binfmt.service"),
    *("systemd-hibernate-clear.service", "systemd-remount-fs.service", "rc-local.service"),
    *("proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount"),
    *("sys-kernel-tracing.mount", "sys-kernel-config.mount", "dev-hugepages.mount"),
    *("dev-mqueue.mount", "run-lock.mount", "uuidd.socket", "remote-fs.target"),
    *("systemd-initctl.socket", "systemd-sysext.socket", "systemd-creds.socket"),
    *("systemd-pcrextend.socket", "systemd-pcrlock.socket", "systemd-pcrmachine.service"),
    *("systemd-pcrphase.service", "systemd-pcrphase-sysinit.service"),
    *("systemd-tpm2-setup.service", "systemd-tpm2-setup-early.service"),
    *("systemd-hostnamed.socket", "systemd-rfkill.socket", "cloud-init-hotplugd.socket"),
    *("systemd-ask-password-console.path", "systemd-ask-password-wall.path"),
    # Device nodes: the kernel's devtmpfs makes all that a root needs. Volatile folders: the initrd
    # makes the one that is missed (/run/lock), each service its own. 1.0 and 1.3 CPU-s of a boot.
    *("systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service"),
    *("systemd-tmpfiles-setup-dev-early.service", "kmod-static-nodes.service"),
    *("systemd-sysctl.service", "systemd-modules-load.service", "sys-kernel-debug.mount"),
    "systemd-udev-load-credentials.service",
    # Nobody can log in on a console, as no password is set; logind is for those who can.
    *("getty.target", "getty-static.service", "console-getty.service", "systemd-logind.service"),
    "systemd-user-sessions.service",
    # Would claim the machine's own disks and remote ones: an ephemeral machine touches none.
    *("nvmf-autoconnect.service", "nvmefc-boot-connections.service", "fio.service"),
    # The initrd has brought the network up; waiting for it again costs 2 s and gains nothing.
    *("systemd-networkd-wait-online.service", "systemd-network-generator.service"),
    *("networking.service", "dhcpcd.service", "systemd-timesyncd.service", "sshd-keygen.service"),
)
# Generators that look for disks, terminals, TPMs and old init scripts, 30 to 300 ms each; that of
# cloud-init runs a 1 900 line shell script to find out what our image knows: NoCloud, always.
MASKED_GENERATORS = (
    *("cloud-init-generator", "systemd-cryptsetup-generator", "systemd-debug-generator"),
    *("systemd-fstab-generator", "systemd-getty-generator", "systemd-gpt-auto-generator"),
    *("systemd-hibernate-resume-generator", "systemd-integritysetup-generator"),
    *("systemd-rc-local-generator", "systemd-ssh-generator", "systemd-system-update-generator"),
    *("systemd-sysv-generator", "systemd-tpm2-generator", "systemd-veritysetup-generator"),
)
# Assembling an array writes event counters to its members, NVMe-oF discovery opens connections:
# an unknown machine's data is not ours to touch. 85-hdparm sets a drive's power management.
MASKED_UDEV_RULES = (
    *(
        "63-md-raid-arrays.rules",
        "64-md-raid-assembly.rules",
        "69-md-clustered-confirm-device.rules",
    ),
    *("70-nvmf-autoconnect.rules", "70-nvmf-keys.rules", "65-persistent-net-nbft.rules"),
    *("85-hdparm.rules", "69-lvm.rules", "64-btrfs.rules"),
    # Cameras, joysticks, sound: drivers that are not in the image.
    *(
        "60-persistent-alsa.rules",
        "60-persistent-v4l.rules",
        "70-camera.rules",
        "70-joystick.rules",
    ),
    *("78-sound-card.rules", "60-fido-id.rules", "66-azure-ephemeral.rules", "70-touchpad.rules"),
)
DISABLED_UNITS = ("chrony.service", "ssh.service", "lldpd.service")
# Identity, secrets, dates and logs of the build: two machines must not share the first two, and two
# builds must not differ by the others.
FORGOTTEN = (
    *("etc/ssh/ssh_host_*", "etc/nvme/hostid", "etc/nvme/hostnqn", "var/lib/dbus/machine-id"),
    *("etc/mdadm/mdadm.conf", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"),
    *("var/cache/[!a]*", "var/log/*", "var/lib/dhcp*/*", "var/lib/chrony/*", "var/backups/*"),
    # Not tmp/*: mmdebstrap keeps the apt configuration there that its own last step needs. Without
    # it that step empties the package lists of the machine that builds.
    *("tmp/check-*", "var/tmp/*", "root/.[!.]*", "boot/initrd*", "boot/System.map*"),
    *("initrd.img*", "vmlinuz*", "etc/*-", "var/lib/dpkg/*-old", "var/lib/systemd/catalog/*"),
    *("var/lib/initramfs-tools", "usr/lib/udev/hwdb.d"),
    # cloud-init warns about user-data with it and works without it; importing it is a tenth of
    # cloud-init's start. dpkg cannot leave it out: the package's own script compiles it.
    "usr/lib/python3/dist-packages/jsonschema*",
)


def main() -> int:
    root = Path("/")
    mask(root, "etc/systemd/system", MASKED_UNITS)
    mask(root, "etc/systemd/system-generators", MASKED_GENERATORS)
    mask(root, "etc/udev/rules.d", MASKED_UDEV_RULES)
    subprocess.run(["systemctl", "--quiet", "disable", *DISABLED_UNITS], check=True)
    enable(root, "multi-user.target", "cloud-init.target")
    enable(root, "multi-user.target", "lldpd.service")
    enable(root, "sockets.target", "ssh.socket")
    enable(root, "timers.target", "/etc/systemd/system/systemd-networkd.timer")
    boot_to_the_user_data(root)
    write(root)
    subprocess.run(["systemd-hwdb", "update", "--usr"], check=True)
    forget(root)
    compile_python([root / "usr/lib/python3", *sorted(root.glob("usr/lib/python3.*"))])
    return 0


def mask(root: Path, folder: str, names: Iterable[str]) -> None:
    """Make each name in the folder a link to /dev/null: systemd and udev then pass it over."""
    target = root / folder
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        link = target / name
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def enable(root: Path, wanted_by: str, unit: str) -> None:
    """Let a target pull a unit in, as 'systemctl enable' does for units that say by whom."""
    wants = root / "etc/systemd/system" / f"{wanted_by}.wants"
    wants.mkdir(parents=True, exist_ok=True)
    link = wants / Path(unit).name
    link.unlink(missing_ok=True)
    link.symlink_to(Path("/usr/lib/systemd/system") / unit)


def boot_to_the_user_data(root: Path) -> None:
    """Let nothing stand between cloud-init and the user-data that starts the agent."""
    shipped, ours = root / "usr/lib/systemd/system", root / "etc/systemd/system"
    (ours / "default.target").unlink(missing_ok=True)
    (ours / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    # After= can be added to by a drop-in, but not taken from: so the unit is copied without it.
    final = (shipped / "cloud-final.service").read_text()
    (ours / "cloud-final.service").write_text(final.replace("After=multi-user.target\n", ""))
    # Its socket starts the bus for whoever asks.
    (shipped / "multi-user.target.wants/dbus.service").unlink(missing_ok=True)
    for path in (root / "etc/cloud/cloud.cfg.d").glob("*.cfg"):
        path.unlink()


def write(root: Path) -> None:
    """Write what is too short for a file of its own."""
    (root / "etc/hostname").write_text("muster\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 muster\n::1 localhost\n")
    (root / "etc/fstab").write_text("")
    # As scripts/builtin/commissioning/00-maas-03-install-lldpd wants it: it then listens since the
    # machine started, and says nothing itself.
    (root / "etc/default/lldpd").write_text('DAEMON_ARGS="-c -f -s -e -r"\n')
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("/run/muster/resolv.conf")


def forget(root: Path) -> None:
    """Remove what would tell one build, or two machines of one build, apart or together."""
    for pattern in FORGOTTEN:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    # Empty and not absent: systemd then makes an id up without taking this for a first boot.
    (root / "etc/machine-id").write_text("")


def compile_python(folders: Iterable[Path]) -> None:
    """Compile all modules so that they hold whatever the time stamps say.

    The squashfs has one time for all files; byte code that remembers another would be compiled
    again on every boot. Hashes that are not checked cost nothing at import.
    """
    for folder in folders:
        for cache in folder.rglob("__pycache__"):
            shutil.rmtree(cache)
        compileall.compile_dir(
            folder,
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


if __name__ == "__main__":
    sys.exit(main())
