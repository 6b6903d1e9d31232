"""The shelf of images: content-addressed blobs, one manifest an image, one image in use.

    blobs/sha256/HEX     a file, named by what it hashes to
    images/ID.json       a manifest
    current              symbolic link to images/ID.json: the image that machines boot
    current-ARCH         the same for machines of another architecture than amd64

Everything is written aside, flushed and renamed, in the order blobs, manifest, current: whoever
dies in between leaves the image that was in use in use, and at most a blob that nobody names.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from muster.images import manifest as manifests
from muster.images.errors import LibraryError, ManifestError
from muster.images.manifest import Manifest

FIRST: Final = "amd64"
"""The architecture whose image is plainly the one in use, and whose loaders others borrow."""

_HEX = re.compile(r"[0-9a-f]{64}")
_ARCH = re.compile(r"[a-z0-9]{1,16}")


class Library:
    """All images under one folder; readers need no lock, as nothing is ever changed in place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._images = root / "images"

    def all(self) -> list[Manifest]:
        """Return every readable image, newest first; a damaged manifest is no image."""
        paths = sorted(self._images.glob("*.json"), key=lambda path: -path.stat().st_mtime_ns)
        return [found for path in paths if (found := _readable(path)) is not None]

    def current(self, arch: str = FIRST) -> Manifest | None:
        """Return the image that machines of an architecture boot, or None when there is none."""
        link = self._link(arch)
        return manifests.load(link) if link.exists() else None

    def in_use_by_any(self) -> set[str]:
        """Return the ids of the images in use, of every architecture."""
        return {link.resolve().stem for link in self.root.glob("current*")}

    def _link(self, arch: str) -> Path:
        # What a machine calls its architecture comes from outside.
        if not _ARCH.fullmatch(arch):
            return self.root / "none"
        return self.root / ("current" if arch == FIRST else f"current-{arch}")

    def newest(self, reference: str, arch: str = "") -> Manifest:
        """Return an image by id, product or release, of an architecture (any): the newest.

        LibraryError names what there is. A product or release outlives its versions.
        """
        images = [image for image in self.all() if not arch or image.arch == arch]
        by_id = re.fullmatch(r"[0-9a-f]{8,64}", reference) is not None
        for image in images:
            named = reference in (image.product, image.suite)
            if named or (by_id and image.id.startswith(reference)):
                return image
        names = sorted({name for image in images for name in (image.product, image.suite) if name})
        told = f" for {arch}" if arch else ""
        there = ", ".join(names) or "none"
        raise LibraryError(f"no image {reference[:80]}{told}: there are {there}, and their ids")

    def in_use(self) -> Manifest:
        """Return the image that machines boot; LibraryError before the first build."""
        image = self.current()
        if image is None:
            raise LibraryError(f"no image in {self.root} yet: run 'muster image build'")
        return image

    def get(self, image_id: str) -> Manifest:
        """Return one image by its id, or by the first characters of it where they are unique."""
        if not re.fullmatch(r"[0-9a-f]{1,64}", image_id):
            raise LibraryError(f"'{image_id}' is no image id: these are hexadecimal")
        paths = list(self._images.glob(f"{image_id}*.json"))
        if not paths:
            raise LibraryError(f"no image {image_id} in {self.root}: see 'muster image list'")
        if len(paths) > 1:
            raise LibraryError(
                f"{image_id} is the start of {len(paths)} image ids: give more of it"
            )
        return manifests.load(paths[0])

    def with_recipe(self, digest: str) -> Manifest | None:
        """Return the newest image built by this recipe."""
        return next((image for image in self.all() if image.recipe == digest), None)

    def blob(self, sha256: str) -> Path:
        """Return the path of a file by its hash; LibraryError when it is not there."""
        path = self._blobs / sha256
        if not _HEX.fullmatch(sha256) or not path.is_file():
            raise LibraryError(f"no blob {sha256[:64]} in {self.root}: see 'muster image verify'")
        return path

    def add(self, manifest: Manifest, files: dict[str, Path]) -> None:
        """Take an image in: each file must be what the manifest says; the image in use stays."""
        manifests.check(manifest)
        if set(files) != set(manifest.files):
            odd = sorted(set(files) ^ set(manifest.files))
            raise LibraryError(f"files and manifest differ: {', '.join(odd)}")
        for name, path in files.items():
            if manifests.describe(path) != manifest.files[name]:
                raise LibraryError(f"{path} is not the {name} that the manifest names")
            self._take(path, manifest.files[name].sha256)
        with _written_aside(self._images / f"{manifest.id}.json") as aside:
            aside.write_bytes(manifest.to_json())

    def use(self, image_id: str) -> Manifest:
        """Make an image the one that machines boot, at once and for all."""
        image = self.get(image_id)
        aside = self.root / f".current-{secrets.token_hex(4)}"
        aside.symlink_to(Path("images") / f"{image.id}.json")
        aside.replace(self._link(image.arch))
        _flush(self.root)
        return image

    def verify(self, image_id: str) -> list[str]:
        """Return what is wrong with an image, in words; an empty list says that it is whole."""
        try:
            image = self.get(image_id)
        except ManifestError as damage:
            return [str(damage)]
        return [
            problem
            for name, entry in image.files.items()
            if (problem := self._problem(name, entry)) is not None
        ]

    def remove(self, image_id: str) -> None:
        """Remove an image and the blobs that no other image names; never the one in use."""
        image = self.get(image_id)
        if image.id in self.in_use_by_any():
            raise LibraryError(f"image {image.id[:12]} is in use: use another one first")
        (self._images / f"{image.id}.json").unlink()
        kept = {entry.sha256 for other in self.all() for entry in other.files.values()}
        for entry in image.files.values():
            if entry.sha256 not in kept:
                (self._blobs / entry.sha256).unlink(missing_ok=True)

    def _take(self, path: Path, sha256: str) -> None:
        target = self._blobs / sha256
        if target.is_file() and target.stat().st_size == path.stat().st_size:
            return
        with _written_aside(target) as aside:
            shutil.copyfile(path, aside)
            aside.chmod(0o444)

    def _problem(self, name: str, entry: manifests.FileEntry) -> str | None:
        path = self._blobs / entry.sha256
        if not path.is_file():
            return f"{name}: blob {entry.sha256[:12]} is missing"
        found = manifests.describe(path)
        if found.size != entry.size:
            return f"{name}: blob {entry.sha256[:12]} has {found.size} bytes, not {entry.size}"
        if found.sha256 != entry.sha256:
            return f"{name}: blob {entry.sha256[:12]} hashes to {found.sha256[:12]}: it is damaged"
        return None


def _readable(path: Path) -> Manifest | None:
    try:
        return manifests.load(path)
    except ManifestError:
        return None


@contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """Yield a path beside the target; flush it and rename it onto the target at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".{target.name}-{secrets.token_hex(4)}"
    try:
        yield aside
        _flush(aside)
        aside.replace(target)
        _flush(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
