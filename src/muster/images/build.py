"""Build an image: root, initrd, squashfs, loaders; into the library only when all are there."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from muster.images import command, manifest
from muster.images.errors import BuildError
from muster.images.firmware import INDEX, build_firmware
from muster.images.initrd import build_initrd
from muster.images.library import Library
from muster.images.manifest import LOADERS, PARTS, SIGNED, Manifest, Package
from muster.images.recipe import Recipe
from muster.images.root import build_root
from muster.images.squash import build_squashfs
from muster.images.tree import RootTar


def build(
    library: Library,
    recipe: Recipe,
    *,
    progress: Callable[[str], None],
    refresh: bool = False,
) -> Manifest:
    """Build a recipe's image and put it in use; at once when the library has it already.

    Takes about a minute on two cores and 2 GB below the library's folder; the work folder is gone
    afterwards, whatever happens. BuildError names the step that failed, and the image that was in
    use still is.
    """
    known = None if refresh else library.with_recipe(recipe.digest)
    if known is not None and not library.verify(known.id):
        progress(f"image {known.id[:12]} was built by this recipe already")
        return library.use(known.id)
    # An ordinary user's build needs a range of user ids, which newuidmap hands out.
    unprivileged = () if os.geteuid() == 0 else ("newuidmap",)
    command.need("mmdebstrap", "mksquashfs", *unprivileged)
    library.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=library.root) as folder:
        work = Path(folder)
        # mmdebstrap's unprivileged mode writes here as another user id.
        work.chmod(0o755)
        image, files = _make(recipe, work, progress)
        progress("storing the image")
        library.add(image, files)
    return library.use(image.id)


def _make(
    recipe: Recipe, work: Path, progress: Callable[[str], None]
) -> tuple[Manifest, dict[str, Path]]:
    progress(f"building the {recipe.suite} root file system")
    tar = build_root(recipe, work, progress)
    kernel_version, files = _boot_files(work, recipe.arch)
    progress("packing what starts before the rest")
    for name in PARTS:
        files[name] = work / f"{name}.squashfs"
        build_squashfs(work / f"{name}.tar", files[name], name, arch=recipe.arch)
    with RootTar(tar) as root:
        installed = packages(root.read("var/lib/dpkg/status").decode())
        index = b""
        if recipe.firmware:
            progress("packing firmware")
            with RootTar(work / "firmware.tar") as firmware:
                files |= build_firmware(root, firmware, kernel_version, work)
                installed += packages(firmware.read("firmware/status").decode())
            index = files[INDEX].read_bytes()
        progress(f"packing the initrd for Linux {kernel_version}")
        build_initrd(root, kernel_version, work / "initrd", index=index)
    progress("packing the squashfs")
    build_squashfs(tar, work / "squashfs")
    files |= {"initrd": work / "initrd", "squashfs": work / "squashfs"}
    image = Manifest(
        suite=recipe.suite,
        arch=recipe.arch,
        kernel_version=kernel_version,
        recipe=recipe.digest,
        files={name: manifest.describe(path) for name, path in sorted(files.items())},
        packages=sorted(installed, key=lambda package: package.name),
        swift=True,
    )
    return image.sealed(), files


def _boot_files(work: Path, arch: str) -> tuple[str, dict[str, Path]]:
    """Write kernel and loaders into the work folder; return the kernel's version and the files."""
    with (
        RootTar(work / "boot.tar") as boot,
        RootTar(work / "loaders.tar") as loaders,
        RootTar(work / "signed.tar") as signed,
    ):
        kernels = [found[1] for name in boot.names if (found := _KERNEL.fullmatch(name))]
        if len(kernels) != 1:
            raise BuildError("kernel", f"the root has {len(kernels)} kernels in /boot, not one")
        contents = {"kernel": boot.read(f"boot/vmlinuz-{kernels[0]}")}
        for loader in SIGNED[arch]:
            contents[f"loader/{loader}"] = signed.read(f"signed/{_SIGNED[loader]}")
        for loader in LOADERS[arch]:
            if loader in SIGNED[arch]:
                continue
            # Debian 12 has ipxe.efi in /boot, and a link to it where all others are.
            source = boot if f"boot/{loader}" in boot else loaders
            contents[f"loader/{loader}"] = source.read(f"boot/{loader}", f"ipxe/{loader}")
    files = {name: work / name.replace("/", "-") for name in contents}
    for name, path in files.items():
        path.write_bytes(contents[name])
    return kernels[0], files


# GRUB with its network modules built in: under Secure Boot it loads no others.
_SIGNED = {
    "shimx64.efi": "shimx64.efi.signed",
    "grubx64.efi": "grubnetx64.efi.signed",
    "shimaa64.efi": "shimaa64.efi.signed",
    "grubaa64.efi": "grubnetaa64.efi.signed",
}
_KERNEL = re.compile(r"boot/vmlinuz-(.+)")


def packages(status: str) -> list[Package]:
    """Read dpkg's status file: every installed package, by name."""
    found = []
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Version|Installed-Size|Status): (.*)$", stanza))
        if fields.get("Status", "").endswith(" installed"):
            size = int(fields.get("Installed-Size", "0"))
            found.append(Package(fields["Package"], fields["Version"], size))
    return sorted(found, key=lambda package: package.name)
