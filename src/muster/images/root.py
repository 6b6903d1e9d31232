"""The root file system as a tar: mmdebstrap, then our own files, then the programs in inside/.

Everything that needs the root as a root runs as a hook in mmdebstrap's chroot, by the image's own
Python: so the same build works as root and as an ordinary user in a user namespace, and a tar is
all that comes out.
"""

import io
import re
import shlex
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from muster.images import command, emulation, packages
from muster.images.errors import BuildError
from muster.images.recipe import HERE, Recipe

# Any fixed time does; later than every archive's, dpkg would not be reproducible, so an early one.
EPOCH: Final = 1_700_000_000
_WORKSHOP: Final = "muster-build"
# What is taken out of the root and does not stay in it, each as a tar of its own.
PARTS: Final = (
    ("/boot", "boot.tar"),
    ("/usr/lib/ipxe", "loaders.tar"),
    ("/swift", "swift.tar"),
    ("/drivers", "drivers.tar"),
    (f"/{_WORKSHOP}/signed", "signed.tar"),
)
FIRMWARE_PART: Final = (f"/{_WORKSHOP}/firmware", "firmware.tar")


def build_root(recipe: Recipe, work: Path, heard: Callable[[str], None]) -> Path:
    """Build the root of a recipe; return the tar."""
    target = work / "root.tar"
    sources = work / "muster.sources"
    sources.write_text("\n".join(source.stanza() for source in recipe.sources))
    overlay = work / "overlay.tar"
    overlay.write_bytes(_overlay())
    try:
        command.run(
            "root",
            _argv(recipe, overlay, target, sources),
            heard=lambda line: heard(_SAID.sub("", line)) if _SAID.match(line) else None,
            # INITRD=No keeps the kernel package from building the 38 MB initrd that nobody uses.
            environment={"SOURCE_DATE_EPOCH": str(EPOCH), "INITRD": "No", "PYTHONHASHSEED": "0"},
        )
    except BuildError as error:
        failed = [line for line in error.tail if line.startswith("tool check: ")]
        if failed:
            raise BuildError("tools", "some do not run in the built root", failed) from error
        if recipe.firmware and any(_NO_FIRMWARE.search(line) for line in error.tail):
            raise BuildError("firmware", _WITHOUT, error.tail) from error
        raise
    return target


_NO_FIRMWARE = re.compile(f"locate package firmware-|{packages.FIRMWARE_COMPONENT}")
_WITHOUT: Final = (
    f"the mirror gives no firmware: its component {packages.FIRMWARE_COMPONENT} is missing or"
    " incomplete; mirror it, or run 'muster image build --no-firmware' for machines whose NICs and"
    " storage controllers need none"
)

# What mmdebstrap says of its steps, but not the hooks that it spells out in full.
_SAID = re.compile(r"I: (?!running )|-- ")


def _argv(recipe: Recipe, overlay: Path, target: Path, sources: Path) -> list[str]:
    parts = (*PARTS, FIRMWARE_PART) if recipe.firmware else PARTS
    hooks = [
        f"tar-in {shlex.quote(str(overlay))} /",
        f'chroot "$1" python3 -I -B /{_WORKSHOP}/check.py',
        f'chroot "$1" python3 -I -B /{_WORKSHOP}/customize.py',
        f'chroot "$1" python3 -I -B /{_WORKSHOP}/swift.py',
        _SIGNED.format(folder=_WORKSHOP, packages=" ".join(SIGNED[recipe.arch])),
        # Kernel, modules and loaders reach a machine before its root does.
        *(f"tar-out {folder} {shlex.quote(str(target.with_name(name)))}" for folder, name in parts),
        f'rm -rf "$1"/{_WORKSHOP} "$1"/boot/* "$1"/usr/lib/ipxe "$1"/swift "$1"/drivers',
    ]
    return [
        *(*emulation.mmdebstrap(recipe.arch), "--variant=minbase", "--format=tar"),
        f"--architectures={recipe.arch}",
        *('--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"'),
        *(f"--dpkgopt=path-exclude={path}" for path in recipe.excluded),
        *(f"--dpkgopt=path-include={path}" for path in recipe.included),
        f"--include={','.join(recipe.packages)}",
        *(f"--essential-hook={hook}" for hook in _early(recipe)),
        *(f"--customize-hook={hook}" for hook in hooks),
        *(recipe.suite, str(target), str(sources)),
    ]


# What firmware with Secure Boot starts.
SIGNED: Final = {
    "amd64": ("shim-signed", "grub-efi-amd64-signed"),
    "arm64": ("shim-signed", "grub-efi-arm64-signed"),
}
# The signed loaders are taken out of their packages, which would install GRUB's tools as well; apt
# is the one that mmdebstrap has set up, so that they are of the image's suite and checked.
_SIGNED: Final = (
    'mkdir -p "$1"/{folder}/signed && cd "$1"/{folder}/signed &&'
    ' APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -q {packages} &&'
    " for deb in *.deb; do dpkg-deb --fsys-tarfile $deb |"
    " tar -x --transform 's,.*/,,' --wildcards '*64.efi.signed'; rm $deb; done"
)


def _early(recipe: Recipe) -> list[str]:
    """Before the packages: a mirror that has no firmware is known within a minute."""
    if not recipe.firmware:
        return []
    return [_FIRMWARE.format(folder=_WORKSHOP, packages=" ".join(recipe.firmware))]


# `status` says what they are made of, in the format of dpkg's own.
_FIRMWARE: Final = (
    'mkdir -p "$1"/{folder}/firmware && cd "$1"/{folder}/firmware &&'
    ' APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -q {packages} &&'
    " for deb in *.deb; do dpkg-deb --fsys-tarfile $deb |"
    " tar -x --wildcards '*/lib/firmware/*' &&"
    " dpkg-deb -f $deb Package Version Installed-Size >> status &&"
    " echo 'Status: install ok installed' >> status && echo >> status && rm $deb || exit 1; done"
)


def _overlay() -> bytes:
    """Return a tar of files/root plus the programs that work on it, all owned by root."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        files = HERE / "files" / "root"
        for path in sorted(path for path in files.rglob("*") if path.is_file()):
            _add(archive, path.relative_to(files).as_posix(), path)
        for path in sorted((HERE / "inside").glob("*.py")):
            _add(archive, f"{_WORKSHOP}/{path.name}", path)
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    content = path.read_bytes()
    member.size = len(content)
    member.mtime = EPOCH
    # A wheel does not promise to keep the executable bit; a first line with #! says the same.
    member.mode = 0o755 if content.startswith(b"#!") else 0o644
    archive.addfile(member, io.BytesIO(content))
