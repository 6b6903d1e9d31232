#!/usr/bin/python3
"""Take out of the built root what a machine needs to say who it is and what it has: /swift.

Python without its sources, udev, every driver that is not a NIC's (those are in the initrd beside
it), smartctl and pci.ids. It runs from the initrd's memory, before and without the rest of the
root. Everything is the root's own, so both ways to start give the same answers.
"""

import fnmatch
import lzma
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path("/")
TREE = Path("/swift")
DRIVERS = Path("/drivers")
PROGRAMS = ("usr/bin/udevadm", "usr/sbin/smartctl", "usr/bin/busybox")
# udevadm opens these when it first needs them, so ldd does not name them.
OPENED = ("libkmod.so.2", "liblzma.so.5")
# Files and folders as they are; /etc/udev/rules.d says which rules an ephemeral machine leaves out.
KEPT = (
    *("etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/udev", "etc/modprobe.d"),
    *("usr/lib/udev/rules.d", "usr/lib/systemd/network", "usr/lib/modprobe.d"),
    *("usr/share/misc/pci.ids", "etc/os-release", "usr/lib/os-release"),
)
LINKS = {
    **{f"usr/bin/{name}": "busybox" for name in ("sh", "cat", "env", "nice", "mount", "sleep")},
    "usr/lib/systemd/systemd-udevd": "../../bin/udevadm",
    **{name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")},
    "etc/resolv.conf": "/run/muster/resolv.conf",
}
FOLDERS = ("proc", "sys", "dev", "run", "tmp", "root", "var")
# What the agent and the collector never import, or what would load a large library: hashlib has
# its own digests without OpenSSL's (2.4 MB packed), and the agent speaks plain HTTP.
LEFT_OUT = (
    *("__pycache__", "test", "idlelib", "pydoc_data", "unittest", "asyncio", "turtle.py", "dbm"),
    *("ensurepip", "lib2to3", "xmlrpc", "venv", "curses", "sqlite3", "_pyrepl", "tkinter"),
    *("multiprocessing", "wsgiref", "pydoc.py", "doctest.py", "pdb.py", "_pyio.py", "imaplib.py"),
    *("smtplib.py", "statistics.py", "zoneinfo", "concurrent", "lib-dynload", "_pydecimal.py"),
    *("ctypes", "tomllib", "xml", "html", "mailbox.py", "ftplib.py", "logging", "encodings"),
    *("antigravity.py", "this.py", "turtledemo", "distutils", "configparser.py", "plistlib.py"),
    *("pickletools.py", "wave.py", "optparse.py", "trace.py", "pstats.py", "bdb.py"),
)
ENCODINGS = ("__init__", "aliases", "ascii", "utf_8", "latin_1", "idna", "punycode", "cp437")
EXTENSIONS = ("_queue", "_contextvars", "mmap", "resource", "termios", "_struct", "zlib")
# Below kernel/. Whatever has a PCI, USB or ACPI function of a server for itself, as the inventory
# names the driver of each; what they lean on comes with them (modules.dep).
MODULES = (
    *(f"drivers/{name}/*" for name in ("ata", "block", "nvme", "message", "scsi", "cdrom")),
    *(f"drivers/usb/{name}/*" for name in ("host", "core", "common", "storage")),
    *(f"drivers/gpu/drm/{name}/*" for name in ("ast", "mgag200", "tiny", "qxl", "virtio")),
    *("drivers/infiniband/*", "drivers/char/*", "drivers/edac/*"),
    *("drivers/i2c/*", "drivers/misc/*", "drivers/crypto/*", "drivers/acpi/*", "drivers/dma/*"),
    *("drivers/mfd/*", "drivers/thunderbolt/*", "drivers/nvdimm/*", "drivers/dax/*"),
    *("drivers/cxl/*", "drivers/thermal/*", "drivers/powercap/*", "drivers/virt/*"),
    *("drivers/virtio/*", "drivers/tty/serial/*", "drivers/spi/*", "drivers/hv/*"),
    *("drivers/pci/*", "drivers/ptp/*", "drivers/xen/*", "drivers/watchdog/i6300esb*"),
    *(f"drivers/hid/{name}.*" for name in ("hid", "hid-generic", "usbhid/usbhid")),
    *("drivers/hwmon/*temp*", "drivers/hwmon/*power*", "drivers/hwmon/jc42*"),
    *("fs/nls/nls_ascii*", "fs/nls/nls_cp437*", "fs/efivarfs/*", "fs/fuse/*"),
)
MODULES_LEFT_OUT = (
    # In the initrd beside this, and loaded by then.
    "kernel/drivers/net/*",
    *("*/scsi_debug.*", "*/block/drbd/*", "*/block/zram/*", "*/block/rbd.*", "*/gma500/*"),
    *(
        "*/hw/hfi1/*",
        "*/hw/qib/*",
        "*/hw/cxgb4/*",
        "*/hw/mthca/*",
        "*/hw/ocrdma/*",
        "*/sw/*",
        "*/infiniband/ulp/*",
        "*/scsi/fcoe/*",
        "*/scsi/aic94xx/*",
        # Parallel SCSI of the nineties, flash of telephones; and what serves NVMe to others.
        "*/scsi/aic7xxx/*",
        "*/drivers/ufs/*",
        "*/misc/cardreader/*",
        "*/nvme/target/*",
    ),
)
LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")
# Run in the tree by itself: what is missing shows here and not on a machine.
CHECKS = (
    "exec python3 -I -S -c 'import json, urllib.request, subprocess, threading, zipfile, secrets,"
    ' hashlib, compileall, array, fcntl, platform, tempfile, re; hashlib.sha256(b"")\'',
    "exec python3 -I -c 'import socket, signal, base64, selectors, traceback, dataclasses, typing'",
    "exec udevadm --version",
    "exec smartctl --version",
)


def main() -> int:
    """Build the tree; 1 when a program does not run in it."""
    for name in FOLDERS:
        (TREE / name).mkdir(parents=True)
    for name in (*PROGRAMS, *KEPT):
        keep(name)
    for name in PROGRAMS:
        libraries(name)
    for name in OPENED:
        (library,) = (ROOT / "usr/lib").glob(f"*/{name}")
        shutil.copy2(library, TREE / library.relative_to("/"))
        libraries(str(library.relative_to("/")))
    python()
    rules = ROOT / "usr/lib/udev"
    for helper in sorted(path.name for path in rules.iterdir() if path.name.endswith("_id")):
        keep(f"usr/lib/udev/{helper}")
        libraries(f"usr/lib/udev/{helper}")
    modules()
    for name, target in LINKS.items():
        (TREE / name).parent.mkdir(parents=True, exist_ok=True)
        (TREE / name).unlink(missing_ok=True)
        (TREE / name).symlink_to(target)
    wrong = check()
    # The initrd has the same one, which is mounted here: 1 MB less to fetch.
    (TREE / "usr/bin/busybox").write_bytes(b"")
    return wrong


def keep(name: str) -> None:
    """Copy a file, or a folder with all below it; what a root does not have is passed over."""
    source, target = ROOT / name, TREE / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif source.exists() or source.is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)


def libraries(program: str) -> None:
    """Copy the libraries of a program, each under the name by which it is asked for."""
    told = subprocess.run(["ldd", f"/{program}"], capture_output=True, text=True, check=False)
    for library in sorted(word for word in told.stdout.split() if word.startswith("/")):
        real = Path(os.path.realpath(library))
        # By the name that it is asked for: arm64's loader is /lib/ld-linux-aarch64.so.1.
        place = TREE / "usr" / str(Path(library).parent).removeprefix("/usr").lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(real, place / Path(library).name)


def python() -> None:
    """Copy the interpreter and the standard library as byte code beside no source."""
    binary = Path(os.path.realpath(sys.executable))
    keep(str(binary.relative_to("/")))
    libraries(str(binary.relative_to("/")))
    LINKS["usr/bin/python3"] = binary.name
    home = Path(os.__file__).parent
    sources = [
        path
        for path in sorted(home.rglob("*.py"))
        if not set(path.relative_to(home).parts) & set(LEFT_OUT)
    ]
    sources += [home / "encodings" / f"{name}.py" for name in ENCODINGS]
    for path in sources:
        target = TREE / path.relative_to("/").with_suffix(".pyc")
        target.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            str(path),
            cfile=str(target),
            dfile=str(path),
            doraise=True,
            optimize=0,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    (TREE / home.relative_to("/") / "lib-dynload").mkdir(exist_ok=True)
    for extension in EXTENSIONS:
        for path in sorted((home / "lib-dynload").glob(f"{extension}.*.so")):
            keep(str(path.relative_to("/")))


def modules() -> None:
    """Copy the drivers, unpacked, and index them anew.

    They are a squashfs of their own, as what is seldom read may be packed the slow way: together
    they pack to three quarters of what each does by itself.
    """
    (base,) = (path for path in (ROOT / "usr/lib/modules").iterdir() if path.is_dir())
    lines = (base / "modules.dep").read_text().splitlines()
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in lines)}
    wanted = {one for name in chosen(needs) for one in (name, *needs[name])}
    index = DRIVERS / "lib/modules" / base.name
    for path in sorted(path for path in wanted if not left_out(path)):
        unpack(base / path, index / path)
    for name in LISTS:
        shutil.copy2(base / name, index / name)
    subprocess.run(["depmod", "-b", str(DRIVERS), base.name], check=True)
    if not (index / "modules.dep.bin").exists():
        raise SystemExit(f"-- depmod left no index in {index}")
    (TREE / "usr/lib/modules").mkdir(parents=True)


def unpack(source: Path, target: Path) -> None:
    """Copy a module plainly; what is packed in another way than Debian's stays as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
    else:
        shutil.copy2(source, target)


def chosen(paths: Iterable[str]) -> list[str]:
    """Which of modules.dep's paths are wanted."""
    return [
        path
        for path in paths
        if any(fnmatch.fnmatchcase(path.removeprefix("kernel/"), glob) for glob in MODULES)
        and not left_out(path)
    ]


def left_out(path: str) -> bool:
    """Also where a wanted module leans on it."""
    return any(fnmatch.fnmatchcase(path, glob) for glob in MODULES_LEFT_OUT)


def check() -> int:
    """Run the tree's programs in it; returns how many do not."""
    wrong = 0
    for command in CHECKS:
        done = subprocess.run(
            ["chroot", str(TREE), "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        if done.returncode or "rror" in done.stderr:
            wrong += 1
            last = (done.stderr or done.stdout).strip()[-300:]
            print(f"tool check: swift: {command}: {last}", file=sys.stderr)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
