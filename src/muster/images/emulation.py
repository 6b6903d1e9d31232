"""Building for another architecture: its programs run by QEMU, in the build's namespace only.

Linux runs a foreign program by the interpreter that binfmt_misc names for it. Where the machine has
none registered, the build mounts a binfmt_misc of its own: since Linux 6.7 each user namespace can
have one. Nothing of the machine is changed, and all of it ends with the build.
"""

import os
import shutil
import subprocess
from typing import Final

from muster.images.errors import BuildError
from muster.images.recipe import own_arch

_QEMU: Final = {"arm64": "aarch64", "amd64": "x86_64"}
# The first 20 bytes of its programs and which bits of them count: ELF, 64 bit, little endian,
# executable or shared, and the machine (ELF header, e_machine: 183 and 62).
_MACHINE: Final = {"arm64": 0xB7, "amd64": 0x3E}
_HEAD: Final = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00"
_MASK: Final = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


def mmdebstrap(arch: str) -> list[str]:
    """mmdebstrap with its words on how it is root, and on running this architecture's programs."""
    if arch == own_arch() or _runs_here(arch):
        return ["mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}"]
    interpreter = shutil.which(f"qemu-{_QEMU[arch]}-static")
    if interpreter is None:
        raise BuildError(
            "emulation",
            f"this {own_arch()} machine runs no programs of {arch}: "
            "apt-get install qemu-user-static",
        )
    # It makes a user namespace for an ordinary user only, and the rule would be the machine's.
    apart = ("unshare", "--user", "--map-root-user", "--map-auto", "--mount")
    return [
        *(apart if os.geteuid() == 0 else ()),
        # It looks for the interpreter before there is a namespace to have one.
        *("mmdebstrap", "--mode=unshare", "--skip=check/qemu"),
        f"--setup-hook={_hook(arch, interpreter)}",
    ]


def _runs_here(arch: str) -> bool:
    """Whether the machine itself has an interpreter registered, as qemu-user-static does."""
    if shutil.which("arch-test") is None:
        return False
    return subprocess.run(["arch-test", arch], capture_output=True, check=False).returncode == 0


def _hook(arch: str, interpreter: str) -> str:
    """Shell that gives the build's namespace an interpreter, or says that it cannot be."""
    # F: the file is opened now, so that it need not be in the root that is built.
    rule = f":muster-{arch}:M::{_escaped(_head(arch))}:{_escaped(_MASK)}:{interpreter}:F"
    return (
        "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&"
        f" printf '%s' '{rule}' > /proc/sys/fs/binfmt_misc/register ||"
        " { echo 'emulation: this kernel has no binfmt_misc for namespaces (Linux 6.7 has):"
        " register qemu-user-static for the whole machine' >&2; exit 1; }"
    )


def _head(arch: str) -> bytes:
    return _HEAD + _MACHINE[arch].to_bytes(2, "little")


def _escaped(content: bytes) -> str:
    """Every byte as the kernel reads it: backslash, x, two digits (admin-guide/binfmt-misc)."""
    return "".join(f"\\x{byte:02x}" for byte in content)
