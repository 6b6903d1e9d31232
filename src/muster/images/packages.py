"""What is in the image: the packages of each distribution and the paths that are left out of them.

Names are Debian's. Ubuntu (noble) uses the same but for its kernel; that set is derived by reading
and has never been built here, as no Ubuntu mirror was in reach.
"""

from typing import Final

# One line a purpose, so that a reviewer sees what each is for.
COMMON: Final = (
    *("systemd-sysv", "udev", "dbus", "kmod", "zstd", "netbase", "iproute2", "busybox-static"),
    *("ca-certificates", "curl", "python3", "cloud-init", "dhcpcd-base", "openssh-server"),
    *("chrony", "lldpd", "lshw", "pciutils", "usbutils", "dmidecode", "ethtool", "lsscsi"),
    *("smartmontools", "nvme-cli", "sg3-utils", "hdparm", "mdadm", "parted", "efibootmgr"),
    *("ipmitool", "freeipmi-tools", "tpm2-tools", "numactl"),
    *("stress-ng", "fio", "memtester", "7zip", "e2fsprogs"),
    "ipxe",
)
KERNELS: Final = {
    "bookworm": "linux-image-{arch}",
    "trixie": "linux-image-{arch}",
    "noble": "linux-image-generic",
}
# What NICs and storage controllers are given by their drivers. These are not installed: firmware.py
# takes out of them what the image's own drivers ask for. Not here: switch chips (marvell-prestera,
# 60 MB) and graphics. Ubuntu has it all in one package of 500 MB, which is not taken.
FIRMWARE_COMPONENT: Final = "non-free-firmware"
_FIRMWARE: Final = (
    *("firmware-bnx2", "firmware-bnx2x", "firmware-qlogic", "firmware-cavium", "firmware-myricom"),
    *("firmware-netronome", "firmware-netxen", "firmware-realtek", "firmware-misc-nonfree"),
    "firmware-linux-free",
)
FIRMWARE: Final = {
    "bookworm": _FIRMWARE,
    "trixie": (*_FIRMWARE, "firmware-intel-misc"),
    "noble": (),
}

# Left out by dpkg while unpacking, so that dpkg's own database stays whole and a user's script can
# still install packages. Documents and translations:
_PROSE: Final = (
    *("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/doc-base/*"),
    *("/usr/share/locale/*", "/usr/share/i18n/*", "/usr/share/lintian/*", "/usr/share/bug/*"),
    *("/usr/share/X11/*", "/usr/share/bash-completion/*", "/usr/share/zsh/*"),
    # Perl's Unicode collation, CJK encodings and C headers: 20 MB of the 44 that come with lldpd.
    *("/usr/share/perl/*/Unicode/*", "/usr/lib/*/perl/*/auto/Encode/*/[A-Z][A-Z].so"),
    *("/usr/lib/*/perl/*/CORE/*.h", "/usr/lib/*/perl/*/auto/Unicode/*", "/usr/share/vim/*"),
    *("/usr/lib/*/gconv/*", "/usr/lib/locale/*", "/usr/share/zoneinfo/right/*"),
)
# stress-ng links libEGL for its GPU stressor alone, and that loads Mesa, LLVM and Z3 (195 MB) only
# when it runs; every other stressor works without them (tried by the build's own check).
_GPU: Final = (
    *("/usr/lib/*/libLLVM*", "/usr/lib/llvm-*", "/usr/lib/*/libgallium*", "/usr/lib/*/libz3*"),
    *("/usr/lib/*/dri/*", "/usr/lib/*/libEGL_mesa*", "/usr/lib/*/gbm/*"),
)
# Drivers for what a server is not commissioned by; NICs, storage, USB, IPMI, TPM, EDAC and sensors
# stay. drm stays too: mgag200 and ast are the screens of every BMC.
_DRIVERS: Final = tuple(
    f"/*lib/modules/*/kernel/{folder}/*"
    for folder in (
        *("sound", "drivers/media", "drivers/staging", "drivers/iio", "drivers/bluetooth"),
        *("drivers/net/wireless", "drivers/net/wwan", "drivers/net/can", "drivers/net/hamradio"),
        *("drivers/net/ieee802154", "drivers/isdn", "drivers/comedi", "drivers/nfc"),
        *("drivers/input/joystick", "drivers/input/touchscreen", "drivers/input/tablet"),
        *("drivers/gpu/drm/amd", "drivers/gpu/drm/i915", "drivers/gpu/drm/nouveau"),
        *("drivers/gpu/drm/radeon", "drivers/gpu/drm/xe", "drivers/gpu/drm/vmwgfx"),
        *("drivers/soundwire", "drivers/accel", "drivers/firewire", "drivers/atm", "drivers/w1"),
        *("drivers/video/fbdev", "drivers/mmc", "drivers/greybus", "drivers/parport"),
        *("fs/ocfs2", "fs/gfs2", "fs/ceph", "fs/afs", "fs/coda", "fs/smb", "fs/nfs", "fs/nfsd"),
        *("fs/bcachefs", "fs/f2fs", "fs/ntfs3", "fs/dlm", "drivers/mtd", "drivers/target"),
        *("net/netfilter", "net/sctp", "net/sunrpc", "drivers/accessibility", "arch/x86/kvm"),
        *("fs/ubifs", "fs/jffs2", "fs/orangefs", "fs/reiserfs", "fs/jfs", "fs/nilfs2"),
        *("net/tipc", "net/rxrpc", "net/ceph", "net/rds", "net/smc", "net/atm", "net/dccp"),
        *("net/openvswitch", "net/l2tp", "net/6lowpan", "net/appletalk", "net/lapb", "net/x25"),
        *("net/bluetooth", "net/mac80211", "net/wireless", "net/nfc", "net/can", "net/ax25"),
        *("net/netrom", "net/rose", "net/ieee802154", "net/mac802154", "net/batman-adv"),
    )
)
EXCLUDED: Final = (*_PROSE, *_GPU, *_DRIVERS)
# Copyright files stay: the licences ask for it, and they compress to nearly nothing.
INCLUDED: Final = ("/usr/share/doc/*/copyright", "/usr/lib/locale/C.utf8/*")


def chosen(suite: str, arch: str) -> tuple[str, ...]:
    """Return the packages to ask for, sorted."""
    return tuple(sorted({*COMMON, KERNELS[suite].format(arch=arch)}))
