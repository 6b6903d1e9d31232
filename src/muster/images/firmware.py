# SPDX-License-Identifier: Apache-2.0
"""Side packages: the firmware of one driver, apart from initrd and root, for machines that need it.

A package is a cpio packed by xz, which loaders, the kernel and busybox can all put into the initrd.
The index says whose it is, a line a package: NAME KIND SHA256 VENDOR:DEVICE..., hexadecimal. Kind
`net` is a NIC's. Both come from what the drivers say of themselves (modinfo: firmware, alias).
"""

import hashlib
import lzma
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from muster.images import cpio
from muster.images.errors import BuildError
from muster.images.initrd import module_folder, module_name, parse_dependencies, plain
from muster.images.tree import RootTar

INDEX: Final = "firmware/index"
ANY: Final = "firmware/any"
"""For a loader that cannot say what its machine is: the drivers that have no link without."""
PREFIX: Final = "firmware/"
# The others run on what is in their card's flash memory (netxen, myri10ge, nfp), with less of it
# (ice, tg3, r8169), or are 5 MB for a card that is no longer made (liquidio). e100: few chips do.
NO_LINK_WITHOUT: Final = ("bna", "bnx2", "bnx2x", "e100", "qed", "tehuti", "typhoon")
# These write what they are given into their card's flash memory, where it is newer, and work with
# what is there: a machine that is read must be left as it was.
FLASHING: Final = ("csiostor", "cxgb3", "cxgb4")
# What a machine is known and inventoried by; not its crypto accelerators, USB devices or displays.
FAMILIES: Final[dict[str, "Kind"]] = {
    "kernel/drivers/net/": "net",
    "kernel/drivers/scsi/": "other",
    "kernel/drivers/infiniband/": "other",
}

Kind = Literal["net", "other"]
_FIRMWARE = re.compile(rb"\0firmware=([\x21-\x7e]+)")
_VERSION = re.compile(r"\d+(?:\.\d+){2,}")
_PCI = re.compile(rb"\0alias=pci:v0000([0-9A-F]{4})d0000([0-9A-F]{4})")
_LINE = re.compile(r"([a-z0-9-]{1,32}) (net|other) ([0-9a-f]{64})((?: [0-9a-f]{4}:[0-9a-f]{4})+)")


@dataclass(frozen=True, slots=True)
class SidePackage:
    """One line of the index; `ids` are "14e4:1639", in lower case."""

    name: str
    kind: Kind
    sha256: str
    ids: frozenset[str]

    def line(self) -> str:
        """As it is in the index."""
        return " ".join((self.name, self.kind, self.sha256, *sorted(self.ids))) + "\n"


def parse_index(text: str) -> list[SidePackage]:
    """Read an index; what is no line of one is passed over."""
    return [
        SidePackage(found[1], "net" if found[2] == "net" else "other", found[3],
                    frozenset(found[4].split()))
        for line in text.splitlines()
        if (found := _LINE.fullmatch(line))
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Driver:
    path: str
    files: tuple[str, ...]
    ids: frozenset[str]

    @property
    def name(self) -> str:
        # What nginx serves at large sites has no underscore (boot/nginx.py).
        return module_name(self.path).replace("_", "-")


def build_firmware(
    root: RootTar, firmware: RootTar, kernel_version: str, work: Path
) -> dict[str, Path]:
    """Write packages and index for a root's drivers, out of `firmware`; return them by name."""
    named = {
        driver: newest(
            {name: content for name in driver.files if (content := _find(firmware, name))}
        )
        for driver in _drivers(root, kernel_version)
    }
    # Two drivers of one card, or of two that take the same (netxen_nic, qlcnic), share a package.
    sharing: dict[frozenset[str], list[_Driver]] = {}
    for driver, found in named.items():
        if found:
            sharing.setdefault(frozenset(found), []).append(driver)
    files, index = {}, []
    for drivers in sharing.values():
        first = drivers[0]
        packed = archive({first.name: named[first]})
        files[f"{PREFIX}{first.name}"] = _write(work, first.name, packed)
        ids = frozenset(one for driver in drivers for one in driver.ids)
        digest = hashlib.sha256(packed).hexdigest()
        index.append(SidePackage(first.name, _kind(first.path), digest, ids))
    if not index:
        raise BuildError("firmware", "no package holds what the drivers of this kernel ask for")
    told = "".join(one.line() for one in sorted(index, key=lambda one: one.name))
    files[INDEX] = _write(work, "index", told.encode())
    several = {one.name: named[one] for one in named if one.name in NO_LINK_WITHOUT and named[one]}
    files[ANY] = _write(work, "any", archive(several))
    return files


def newest(files: dict[str, bytes]) -> dict[str, bytes]:
    """Of files whose names differ by a version (7.13.21.0) alone, the newest.

    A driver falls back to the older one where the newer is missing (bnx2x: 0.5 MB less).
    """
    best: dict[str, str] = {}
    for name in files:
        kin = _VERSION.sub("*", name)
        best[kin] = max(name, best.get(kin, ""), key=_numbers)
    return {name: files[name] for name in sorted(best.values())}


def _numbers(name: str) -> list[list[int]]:
    return [[int(part) for part in found.split(".")] for found in _VERSION.findall(name)]


def archive(packages: dict[str, dict[str, bytes]]) -> bytes:
    """Pack the files of some packages; each leaves its name in /firmware: it is here."""
    files = {
        f"lib/firmware/{name}": (stat.S_IFREG | 0o644, content)
        for contents in packages.values()
        for name, content in contents.items()
    }
    files |= {f"firmware/{name}": (stat.S_IFREG | 0o644, b"") for name in packages}
    # The kernel's own unpacker knows no other check than this one.
    return lzma.compress(cpio.archive(files), check=lzma.CHECK_CRC32)


def pci_ids(module: bytes) -> frozenset[str]:
    """The vendors and devices that a module drives, as modinfo tells them.

    What an alias says beyond that (subsystem, class) is left out: at worst a machine is given
    firmware of a sister card.
    """
    return frozenset(f"{v.decode()}:{d.decode()}".lower() for v, d in _PCI.findall(module))


def _drivers(root: RootTar, kernel_version: str) -> list[_Driver]:
    """Those that ask for firmware, by path; with the ids of all that lean on them (qed: qede)."""
    base = module_folder(root, kernel_version)
    depends = parse_dependencies(root.read(f"{base}/modules.dep").decode())
    ours = sorted(path for path in depends if path.startswith(tuple(FAMILIES)))
    modules = {path: plain(path, root.read(f"{base}/{path}")) for path in ours}
    ids = {path: pci_ids(module) for path, module in modules.items()}
    found = []
    for path, module in modules.items():
        names = tuple(sorted({name.decode() for name in _FIRMWARE.findall(module)}))
        users = [ids[other] for other in ours if other == path or path in depends[other]]
        whose = frozenset(one for several in users for one in several)
        if names and whose and module_name(path) not in FLASHING:
            found.append(_Driver(path, names, whose))
    return found


def _kind(path: str) -> Kind:
    return next(kind for folder, kind in FAMILIES.items() if path.startswith(folder))


def _find(firmware: RootTar, name: str) -> bytes | None:
    # Debian 12 has it in /lib.
    paths = [f"firmware/{folder}/firmware/{name}" for folder in ("usr/lib", "lib")]
    return firmware.read(*paths) if any(path in firmware for path in paths) else None


def _write(work: Path, name: str, content: bytes) -> Path:
    path = work / f"firmware-{name}"
    path.write_bytes(content)
    return path


def wanted(index: Iterable[SidePackage], ids: Iterable[str], kind: Kind | None = None) -> list[str]:
    """The packages that these devices ask for, by name; of one kind, or of all."""
    seen = frozenset(ids)
    return sorted(one.name for one in index if one.ids & seen and kind in (None, one.kind))
