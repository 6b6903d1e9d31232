"""What `muster image` prints."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.images.conftest import Shop

from muster.images import commands
from muster.images.library import Library
from muster.images.manifest import FileEntry, Manifest


@pytest.fixture
def image(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """One with two side packages, in use, which a build finds built already."""
    plain, _files = shop.image()
    sizes = {"firmware/e100": 700, "firmware/qed": 640_000, "squashfs": 143_101_952}
    packages = {name: FileEntry(sha256="ab" * 32, size=size) for name, size in sizes.items()}
    made = replace(plain, files=plain.files | packages).sealed()
    monkeypatch.setattr(Library, "in_use", lambda _self: made)
    monkeypatch.setattr(commands, "recipe_for", lambda *_words, **_more: None)
    monkeypatch.setattr(commands, "build", lambda *_words, **_more: made)
    return made


def test_a_build_tells_the_side_packages_in_one_line(
    image: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.build_image(images=tmp_path)
    said = capsys.readouterr().out
    assert "firmware/* (2 files)" in said
    assert "0.6 MiB" in said
    assert "firmware/qed" not in said
    assert "136.5 MiB" in said


def test_show_tells_each_file_and_no_size_is_nothing(
    image: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.show(images=tmp_path)
    said = capsys.readouterr().out
    assert all(name in said for name in image.files)
    assert "1 KiB" in said
    assert "0.6 MiB" in said
    assert "0.0 MiB" not in said
