"""An image library with an image of a few bytes, for tests that boot nothing."""

from pathlib import Path

from muster.images import manifest as manifests
from muster.images.library import Library
from muster.images.manifest import FILE_NAMES, Manifest


def stocked(folder: Path, **contents: bytes) -> Library:
    """A library whose image in use has every file; each holds its own name, repeated,

    or what `contents` gives it.
    """
    library = Library(folder / "shelf")
    fresh = folder / "fresh"
    files = {}
    for name in FILE_NAMES:
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.get(name, f"{name}\n".encode() * 100))
        files[name] = path
    image = Manifest(
        suite="bookworm",
        arch="amd64",
        kernel_version="6.1.0-test",
        recipe="0" * 64,
        files={name: manifests.describe(path) for name, path in files.items()},
    ).sealed()
    library.add(image, files)
    library.use(image.id)
    return library
