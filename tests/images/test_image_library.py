import shutil
from pathlib import Path

import pytest
from tests.images.conftest import Shop

from muster.images.errors import LibraryError, ManifestError
from muster.images.library import Library
from muster.images.manifest import FILE_NAMES


def test_an_image_that_was_added_and_chosen_is_the_current_one(
    library: Library, shop: Shop
) -> None:
    image, files = shop.image()
    library.add(image, files)
    assert library.current() is None
    library.use(image.id)
    assert library.current() == image
    assert library.in_use() == image
    assert library.all() == [image]
    assert library.get(image.id[:8]) == image
    assert library.blob(image.files["kernel"].sha256).read_text() == "kernel same"
    assert library.verify(image.id) == []


def test_an_empty_library_says_how_to_build_an_image(library: Library) -> None:
    assert library.all() == []
    with pytest.raises(LibraryError, match="muster image build"):
        library.in_use()


def test_a_file_that_is_not_what_the_manifest_says_is_refused_by_name(
    library: Library, shop: Shop
) -> None:
    image, files = shop.image()
    files["squashfs"].write_text("something else")
    with pytest.raises(LibraryError, match="is not the squashfs that the manifest names"):
        library.add(image, files)
    assert library.all() == []


def test_a_missing_file_is_named(library: Library, shop: Shop) -> None:
    image, files = shop.image()
    del files["loader/ipxe.efi"]
    with pytest.raises(LibraryError, match=r"differ: loader/ipxe\.efi"):
        library.add(image, files)


def test_images_share_the_files_that_they_have_in_common(library: Library, shop: Shop) -> None:
    for word in ("one", "two"):
        library.add(*shop.image(word))
    blobs = list((library.root / "blobs" / "sha256").iterdir())
    assert len(library.all()) == 2
    assert len(blobs) == len(FILE_NAMES) + 1


def test_removing_an_image_keeps_the_files_of_the_others(library: Library, shop: Shop) -> None:
    one, files = shop.image("one")
    two, others = shop.image("two")
    library.add(one, files)
    library.add(two, others)
    library.remove(one.id)
    assert library.all() == [two]
    assert library.verify(two.id) == []
    with pytest.raises(LibraryError, match="no blob"):
        library.blob(one.files["squashfs"].sha256)


def test_the_image_in_use_is_not_removed(library: Library, shop: Shop) -> None:
    image, files = shop.image()
    library.add(image, files)
    library.use(image.id)
    with pytest.raises(LibraryError, match="is in use"):
        library.remove(image.id)
    assert library.current() == image


def test_a_truncated_squashfs_is_named_with_both_sizes(library: Library, shop: Shop) -> None:
    image, files = shop.image()
    library.add(image, files)
    blob = library.blob(image.files["squashfs"].sha256)
    blob.chmod(0o644)
    blob.write_text("squash")
    assert library.verify(image.id) == [
        f"squashfs: blob {image.files['squashfs'].sha256[:12]} has 6 bytes, not 12"
    ]


def test_a_damaged_and_a_missing_file_are_told_apart(library: Library, shop: Shop) -> None:
    image, files = shop.image()
    library.add(image, files)
    damaged = library.blob(image.files["squashfs"].sha256)
    damaged.chmod(0o644)
    damaged.write_text("x" * image.files["squashfs"].size)
    library.blob(image.files["kernel"].sha256).unlink()
    problems = "\n".join(library.verify(image.id))
    assert "squashfs" in problems
    assert "is damaged" in problems
    assert f"kernel: blob {image.files['kernel'].sha256[:12]} is missing" in problems


def test_a_manifest_changed_by_hand_is_no_image(library: Library, shop: Shop) -> None:
    image, files = shop.image()
    library.add(image, files)
    path = library.root / "images" / f"{image.id}.json"
    path.write_text(path.read_text().replace("trixie", "sid"))
    assert library.all() == []
    with pytest.raises(ManifestError, match="was changed after it was built"):
        library.get(image.id)
    assert library.verify(image.id) != []


def test_what_a_crash_leaves_behind_does_not_hide_the_image_in_use(
    library: Library, shop: Shop
) -> None:
    image, files = shop.image("one")
    library.add(image, files)
    library.use(image.id)
    # Died after some blobs; died while writing a manifest; died before renaming the link.
    shutil.copy(files["kernel"], library.root / "blobs" / "sha256" / f".{'0' * 64}-dead")
    (library.root / "images" / f".{'1' * 64}.json-dead").write_text("{")
    (library.root / ".current-dead").symlink_to("images/nothing.json")
    assert library.current() == image
    assert library.all() == [image]


def test_two_images_with_one_start_of_an_id_are_not_guessed_between(
    library: Library, shop: Shop, tmp_path: Path
) -> None:
    image, files = shop.image()
    library.add(image, files)
    twin = library.root / "images" / f"{image.id[:10]}{'0' * 54}.json"
    shutil.copy(library.root / "images" / f"{image.id}.json", twin)
    with pytest.raises(LibraryError, match="give more of it"):
        library.get(image.id[:10])


@pytest.mark.parametrize("wrong", ["../../etc/passwd", "", "ABC", "*", "a" * 65])
def test_an_id_that_is_not_hexadecimal_never_reaches_the_disk(library: Library, wrong: str) -> None:
    with pytest.raises(LibraryError):
        library.get(wrong)
    with pytest.raises(LibraryError):
        library.blob(wrong)
