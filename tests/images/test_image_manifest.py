from dataclasses import replace

import pytest
from tests.images.conftest import Shop

from muster.images import manifest
from muster.images.errors import LibraryError, ManifestError
from muster.images.library import Library
from muster.images.manifest import PARTS, FileEntry


def test_a_manifest_survives_its_own_json(shop: Shop) -> None:
    image, _files = shop.image()
    assert manifest.parse(image.to_json()) == image


def test_the_same_inputs_have_the_same_id_whatever_their_order(shop: Shop) -> None:
    image, _files = shop.image()
    backwards = replace(image, files=dict(reversed(image.files.items())))
    assert backwards.sealed().id == image.id


def test_another_package_version_is_another_image(shop: Shop) -> None:
    image, _files = shop.image()
    newer = [replace(image.packages[0], version="3.40-1")]
    assert replace(image, packages=newer).sealed().id != image.id


def test_a_missing_file_is_named(shop: Shop) -> None:
    image, _files = shop.image()
    del image.files["initrd"]
    with pytest.raises(ManifestError, match="missing or unknown: initrd"):
        manifest.check(image.sealed())


def test_an_image_without_loaders_is_one(shop: Shop) -> None:
    image, _files = shop.image()
    for name in [name for name in image.files if name.startswith("loader/")]:
        del image.files[name]
    manifest.check(image.sealed())


def test_a_manifest_from_before_the_swift_start_keeps_its_id(shop: Shop) -> None:
    image, _files = shop.image()
    old = image.to_json().replace(b',\n  "swift": false', b"")
    assert old != image.to_json()
    assert manifest.parse(old).id == image.id
    assert replace(image, swift=True).sealed().id != image.id


def test_an_image_with_all_in_its_initrd_is_still_one(shop: Shop, library: Library) -> None:
    image, paths = shop.image()
    old = replace(image, files={k: v for k, v in image.files.items() if k not in PARTS}).sealed()
    assert manifest.parse(old.to_json()) == old
    library.add(old, {name: paths[name] for name in old.files})
    assert library.verify(old.id) == []
    # Its blobs stay when the newer one goes, and the newer one's own go.
    library.add(image, paths)
    library.remove(image.id)
    assert library.verify(old.id) == []
    with pytest.raises(LibraryError, match="no blob"):
        library.blob(image.files["swift"].sha256)


@pytest.mark.parametrize("sha256", ["", "g" * 64, "A" * 64, "a" * 63, "../" * 21 + "a"])
def test_a_hash_that_is_none_is_refused(shop: Shop, sha256: str) -> None:
    image, _files = shop.image()
    image.files["kernel"] = FileEntry(sha256, 1)
    with pytest.raises(ManifestError, match="kernel: sha256"):
        manifest.check(image.sealed())


def test_an_empty_file_is_refused(shop: Shop) -> None:
    image, _files = shop.image()
    image.files["kernel"] = FileEntry("a" * 64, 0)
    with pytest.raises(ManifestError, match="kernel: size 0"):
        manifest.check(image.sealed())


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"suite": 1}', r"\$\.suite"),
        (b"\xff\xfe", "is not an image manifest"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_field(document: bytes, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        manifest.parse(document)
