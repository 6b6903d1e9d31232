# SPDX-License-Identifier: Apache-2.0
"""Takes stock images into the library: from a signed stream, or from three local files."""

import hashlib
from pathlib import Path

from muster.images import manifest as manifests
from muster.images.errors import LibraryError
from muster.images.fetch import Progress, fetch
from muster.images.library import Library
from muster.images.manifest import FileEntry, Manifest
from muster.images.streams import Offered

LOCAL = "local"


def import_offered(library: Library, chosen: Offered, *, progress: Progress) -> Manifest:
    """Fetch and take in one version of a stream; at once when it is there and whole already."""
    described = {name: entry for name, (_, entry) in chosen.files.items()}
    image = _manifest(
        library,
        release=chosen.release,
        arch=chosen.arch,
        kernel=chosen.kernel,
        origin=f"{chosen.product} {chosen.version}",
        files=described,
    )
    if any(known.id == image.id for known in library.all()) and not library.verify(image.id):
        progress("it is here already")
        return image
    folder = library.root / "downloads"
    fetched = {
        name: fetch(url, entry, folder, progress) for name, (url, entry) in chosen.files.items()
    }
    progress("storing the image")
    library.add(image, fetched | _loaders(library, image))
    for path in fetched.values():
        path.unlink()
    return image


def import_files(
    library: Library, files: dict[str, Path], *, release: str, arch: str, kernel: str
) -> Manifest:
    """Take in a kernel, an initrd and a squashfs from here; each by its name."""
    for name, path in files.items():
        if not path.is_file() or not path.stat().st_size:
            raise LibraryError(f"{name}: {path} is no file with something in it")
    described = {name: manifests.describe(path) for name, path in files.items()}
    digest = hashlib.sha256("".join(described[name].sha256 for name in sorted(files)).encode())
    image = _manifest(
        library,
        release=release,
        arch=arch,
        kernel=kernel,
        origin=f"{LOCAL}:{release}:{arch} {digest.hexdigest()[:12]}",
        files=described,
    )
    library.add(image, files | _loaders(library, image))
    return image


def prune(library: Library, product: str, *, keep: int) -> list[Manifest]:
    """Remove all but the newest `keep` versions of a product, never the image in use."""
    in_use = library.in_use_by_any()
    versions = [image for image in library.all() if image.product == product]
    versions.sort(key=lambda image: image.origin, reverse=True)
    removed = [image for image in versions[keep:] if image.id not in in_use]
    for image in removed:
        library.remove(image.id)
    return removed


def _manifest(
    library: Library,
    *,
    release: str,
    arch: str,
    kernel: str,
    origin: str,
    files: dict[str, FileEntry],
) -> Manifest:
    """Boot loaders are of the image in use: a stock image has none, and is started by the same."""
    loaders = {
        name: entry for name, entry in library.in_use().files.items() if name.startswith("loader/")
    }
    return Manifest(
        suite=release,
        arch=arch,
        kernel_version=kernel,
        recipe=hashlib.sha256(origin.encode()).hexdigest(),
        files=files | loaders,
        origin=origin,
    ).sealed()


def _loaders(library: Library, image: Manifest) -> dict[str, Path]:
    return {
        name: library.blob(entry.sha256)
        for name, entry in image.files.items()
        if name.startswith("loader/")
    }
