"""A recipe: every choice that an image follows from, and one digest over them.

The digest covers what we choose. Package versions are chosen by the mirrors on the day: they are in
the manifest, and 'muster image build --refresh' asks for today's.
"""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from muster.images import packages, sources
from muster.images.errors import SourcesError
from muster.images.sources import Source

HERE: Final = Path(__file__).parent
# trixie boots in 23 s where bookworm takes 41 s (one cloud-init process instead of four, a kernel
# that unpacks in half the time), so it is the default on a bookworm machine too.
DEFAULT_SUITE: Final = "trixie"
SUITES: Final = {
    "bookworm": ("bookworm", "trixie"),
    "trixie": ("trixie", "bookworm"),
    "noble": ("noble",),
}
ARCHES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
# The parts of the builder that decide what is in an image; reporting and storing it do not.
_BUILDER: Final = (
    *("root.py", "initrd.py", "firmware.py", "cpio.py", "squash.py", "inside/*.py", "files/**/*"),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: suite, architecture, mirrors, packages, what is left out, and the builder.

    `firmware`: packages that are not installed, but that side packages are made of.
    """

    suite: str
    arch: str
    sources: tuple[Source, ...]
    packages: tuple[str, ...]
    excluded: tuple[str, ...]
    included: tuple[str, ...]
    builder: str
    firmware: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 over all of it, in hexadecimal."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def recipe_for(
    suite: str | None = None,
    *,
    arch: str | None = None,
    firmware: bool = True,
    etc: Path = Path("/etc"),
) -> Recipe:
    """Return the recipe for a suite from this machine's apt sources; the default is the fastest.

    `arch` is Debian's name; this machine's own by default. Debian's mirrors have both. For
    `firmware` the image's sources have one component more than this machine's.

    Debian machines build bookworm and trixie. Ubuntu machines build noble from their own sources on
    a best-effort basis: that path has not been run by us.
    """
    codename, own = sources.read(etc)
    offered = SUITES.get(codename, ())
    wanted = suite or (DEFAULT_SUITE if DEFAULT_SUITE in offered else codename)
    if wanted not in offered:
        raise SourcesError(
            f"cannot build {wanted} on a {codename} machine: "
            f"it offers {', '.join(offered) or 'nothing (Debian 12, 13 or Ubuntu 24.04 do)'}"
        )
    chosen = _arch(arch, wanted, codename)
    taken = packages.FIRMWARE[wanted] if firmware else ()
    if taken:
        own = sources.with_component(own, packages.FIRMWARE_COMPONENT)
    return Recipe(
        suite=wanted,
        arch=chosen,
        sources=sources.swap_suite(own, codename, wanted),
        packages=packages.chosen(wanted, chosen),
        excluded=packages.EXCLUDED,
        included=packages.INCLUDED,
        builder=builder_digest(HERE),
        firmware=taken,
    )


def builder_digest(here: Path) -> str:
    """Return one hash over the builder's own files, by name and content."""
    digest = hashlib.sha256()
    for path in sorted({path for glob in _BUILDER for path in here.glob(glob) if path.is_file()}):
        name = path.relative_to(here).as_posix().encode()
        content = path.read_bytes()
        digest.update(b"%d:%s%d:%s" % (len(name), name, len(content), content))
    return digest.hexdigest()


def own_arch() -> str:
    """Debian's name of this machine's architecture; "" where we build no image of it."""
    return ARCHES.get(platform.machine(), "")


def _arch(wanted: str | None, suite: str, codename: str) -> str:
    arch, own = wanted or own_arch(), own_arch()
    if arch not in ARCHES.values():
        told = arch or platform.machine()
        raise SourcesError(f"cannot build for {told}: images are {', '.join(ARCHES.values())}")
    if arch == "arm64" and suite == "bookworm":
        raise SourcesError("cannot build bookworm for arm64: it has no iPXE for that; trixie has")
    if arch != own and codename == "noble":
        # Ubuntu keeps arm64 on another mirror than amd64, which this machine's sources do not name.
        raise SourcesError(f"cannot build {arch} on this Ubuntu machine: import one, or use Debian")
    return arch
