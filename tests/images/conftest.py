"""A small image of a few bytes a file, and a library in a temporary folder."""

from pathlib import Path

import pytest

from muster.images import manifest
from muster.images.library import Library
from muster.images.manifest import FILE_NAMES, Manifest, Package


class Shop:
    """Makes images: same words, same image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image(self, word: str = "one", recipe: str = "a") -> tuple[Manifest, dict[str, Path]]:
        files = {}
        for name in FILE_NAMES:
            path = self.folder / f"{word}-{name.replace('/', '-')}"
            content = word if name == "squashfs" else "same"
            path.write_text(f"{name} {content}")
            files[name] = path
        image = Manifest(
            suite="trixie",
            arch="amd64",
            kernel_version="6.12.1-amd64",
            recipe=recipe * 64,
            files={name: manifest.describe(path) for name, path in files.items()},
            packages=[Package("fio", "3.39-1", 2239)],
        )
        return image.sealed(), files


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")
