"""The initrd: busybox, /init, every Ethernet driver, and what mounts a squashfs from memory.

It is taken out of the root's tar, so that kernel, modules and busybox are of one build.
"""

import fnmatch
import gzip
import lzma
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import zstandard

from muster.images import cpio
from muster.images.errors import BuildError
from muster.images.recipe import HERE
from muster.images.tree import RootTar

# Module paths below kernel/. Real NICs of every vendor, the virtual ones, USB dongles, what they
# lean on (found by modules.dep), and the three that mount the root. virtio_rng feeds the first
# getrandom() of a virtual machine.
WANTED: Final = (
    "drivers/net/ethernet/*",
    "drivers/net/usb/*",
    "drivers/net/phy/*",
    "drivers/net/mdio/*",
    "drivers/net/hyperv/*",
    "drivers/net/vmxnet3/*",
    *(f"drivers/net/{name}.ko" for name in ("virtio_net", "xen-netfront")),
    "drivers/virtio/virtio_*.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "drivers/hv/*",
    "drivers/usb/host/*",
    "drivers/usb/core/*",
    # The keyboard, also the one that a BMC plays: bin/medium asks on the console.
    *(f"drivers/hid/{name}.ko" for name in ("hid", "hid-generic", "usbhid/usbhid")),
    "fs/squashfs/*",
    "fs/overlayfs/*",
    "drivers/block/loop.ko",
)
# PCMCIA and CAN cards, and USB modems that answer to dialling only.
UNWANTED: Final = ("drivers/net/usb/sierra*", "drivers/net/usb/hso*", "drivers/usb/host/*sl811*")
FOLDERS: Final = (
    *("proc", "sys", "dev", "run", "image", "lower", "upper", "newroot", "tmp", "base", "drivers"),
)
# Each module stays packed (57 MB of them plain would be unpacked on every boot, for the three that
# a machine needs), so the archive around them has little left to give: level 19 saves nothing.
_LEVEL: Final = 9


def build_initrd(root: RootTar, kernel_version: str, target: Path, *, index: bytes = b"") -> None:
    """Write the initrd of a root's tar to target; `index` is that of the side packages."""
    files = _own_files() | _busybox(root) | _modules(root, kernel_version)
    if index:
        files["firmware/index"] = (stat.S_IFREG | 0o644, index)
    files |= {folder: (stat.S_IFDIR | 0o755, b"") for folder in FOLDERS}
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    target.write_bytes(compressor.compress(cpio.archive(files)))


def _own_files() -> dict[str, tuple[int, bytes]]:
    here = HERE / "files" / "initrd"
    return {
        path.relative_to(here).as_posix(): (stat.S_IFREG | 0o755, path.read_bytes())
        for path in here.rglob("*")
        if path.is_file()
    }


def _busybox(root: RootTar) -> dict[str, tuple[int, bytes]]:
    content = root.read("usr/bin/busybox", "bin/busybox")
    # busybox's shell finds most of its applets by itself, but only /bin/sh can start the first one.
    links = {f"bin/{name}": (stat.S_IFLNK | 0o777, b"busybox") for name in APPLETS}
    return {"bin/busybox": (stat.S_IFREG | 0o755, content)} | links


APPLETS: Final = (
    *("sh", "awk", "cat", "chroot", "cp", "cpio", "cut", "dmesg", "echo", "grep", "ip", "kill"),
    *("ln", "mkdir", "mkfifo", "modprobe", "mount", "mv", "pidof", "poweroff", "rm", "sed"),
    *("sha256sum", "sleep", "sort", "stat", "switch_root", "tail", "timeout", "touch", "tr"),
    *("udhcpc", "udhcpc6", "uevent", "uname", "usleep", "wget", "xargs", "xzcat"),
)


def _modules(root: RootTar, kernel_version: str) -> dict[str, tuple[int, bytes]]:
    base = module_folder(root, kernel_version)
    depends = parse_dependencies(root.read(f"{base}/modules.dep").decode())
    chosen = closure(depends, (path for path in depends if _wanted(path)))
    contents = {path: root.read(f"{base}/{path}") for path in sorted(chosen)}
    packed = dict(_packed(path, content) for path, content in contents.items())
    renamed = dict(zip(contents, packed, strict=True))
    names = {module_name(path) for path in chosen}
    lists = {
        "modules.dep": "".join(
            f"{renamed[path]}:{''.join(' ' + renamed[other] for other in depends[path])}\n"
            for path in contents
        ),
        "modules.alias": _kept(root.read(f"{base}/modules.alias").decode(), names),
        "modules.softdep": _kept(root.read(f"{base}/modules.softdep").decode(), names, column=1),
        "modules.builtin": root.read(f"{base}/modules.builtin").decode(),
    }
    texts = {name: text.encode() for name, text in lists.items()}
    return {
        f"lib/modules/{kernel_version}/{name}": (stat.S_IFREG | 0o644, content)
        for name, content in (packed | texts).items()
    }


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """Read modules.dep: path of a module to the paths of all that it needs, nearest first."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {path: needs.split() for path, _, needs in pairs}


def closure(depends: dict[str, list[str]], roots: Iterable[str]) -> set[str]:
    """Return the modules and all that they need; modules.dep is transitive already."""
    return {path for root in roots for path in (root, *depends[root])}


def _wanted(path: str) -> bool:
    name = _plain_name(path).removeprefix("kernel/")
    return any(fnmatch.fnmatchcase(name, glob) for glob in WANTED) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in UNWANTED
    )


def _plain_name(path: str) -> str:
    return re.sub(r"\.ko\.(xz|zst|gz)$", ".ko", path)


def module_name(path: str) -> str:
    """Return what the kernel calls the module at this path of modules.dep."""
    return Path(_plain_name(path)).name.removesuffix(".ko").replace("-", "_")


def _packed(path: str, content: bytes) -> tuple[str, bytes]:
    """Debian 13 has .ko.xz, which busybox's modprobe reads; what it cannot read becomes .ko.gz."""
    if path.endswith((".xz", ".gz")):
        return path, content
    return f"{_plain_name(path)}.gz", gzip.compress(plain(path, content), mtime=0)


def plain(path: str, content: bytes) -> bytes:
    """Return a module unpacked, as the kernel would load it."""
    if path.endswith(".xz"):
        return lzma.decompress(content)
    if path.endswith(".gz"):
        return gzip.decompress(content)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content


def _kept(text: str, names: set[str], *, column: int = -1) -> str:
    """Keep the lines of modules.alias (last word) or modules.softdep (second) about our modules."""
    return "".join(
        line + "\n"
        for line in text.splitlines()
        if not line.startswith("#") and line.split()[column].replace("-", "_") in names
    )


def module_folder(root: RootTar, kernel_version: str) -> str:
    """Return where a root has the modules of a kernel."""
    for folder in (f"usr/lib/modules/{kernel_version}", f"lib/modules/{kernel_version}"):
        if f"{folder}/modules.dep" in root:
            return folder
    raise BuildError("initrd", f"the root has no modules of kernel {kernel_version}")
