"""The medium for sites without DHCP: what is on it, and what the kernel is told."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.images.conftest import Shop

from muster.images import iso
from muster.images.errors import BuildError
from muster.images.firmware import ANY
from muster.images.iso import BadWords, Words, build_iso
from muster.images.library import Library
from muster.images.manifest import PARTS, Manifest, describe

SERVER = "http://10.0.0.5:8472"
FULL = Words(SERVER, "10.0.0.9/24", "10.0.0.1", ("10.0.0.2", "10.0.0.3"), "nomodeset")


@pytest.fixture
def image(library: Library, shop: Shop) -> Manifest:
    made, files = shop.image()
    library.add(made, files)
    return library.use(made.id)


def test_a_medium_has_firmware_for_nics_that_have_no_link_without(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    extra = tmp_path / "any"
    extra.write_text("firmware")
    files = {name: library.blob(entry.sha256) for name, entry in image.files.items()}
    fuller = replace(image, files=image.files | {ANY: describe(extra)}).sealed()
    library.add(fuller, files | {ANY: extra})
    medium = tmp_path / "muster.iso"
    build_iso(library, fuller, FULL, medium)
    assert read(medium, "/muster/firmware-any") == "firmware"
    assert "initrd /muster/initrd /muster/firmware-any newc:" in read(medium, "/grub/grub.cfg")


def read(medium: Path, name: str) -> str:
    """A file of the ISO, by xorriso's own reader."""
    target = medium.with_name("read")
    target.unlink(missing_ok=True)
    words = ["xorriso", "-osirrox", "on", "-indev", medium, "-extract", name, target]
    subprocess.run(words, check=True, capture_output=True)
    return target.read_text()


def test_the_medium_starts_the_images_own_kernel_and_initrd(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    medium = tmp_path / "out" / "muster.iso"
    build_iso(library, image, FULL, medium)
    assert read(medium, "/muster/kernel") == "kernel same"
    assert read(medium, "/muster/initrd") == "initrd same"
    assert read(medium, f"/muster/{image.id[:16]}") == f"{image.id}\n"
    menu = read(medium, "/grub/grub.cfg")
    lines = re.findall(r"linux /muster/kernel (.*)", menu)
    assert lines == [
        f"muster.medium={image.id} muster.server={SERVER} muster.ip=10.0.0.9/24"
        " muster.gateway=10.0.0.1 muster.dns=10.0.0.2,10.0.0.3"
        " console=tty0 console=ttyS0,115200 nomodeset",
        f"muster.medium={image.id} muster.server={SERVER} muster.ip=ask"
        " muster.dns=10.0.0.2,10.0.0.3 console=tty0 console=ttyS0,115200 nomodeset",
    ]
    # GRUB puts the rest of what a swift start needs into the initrd.
    assert (
        re.findall(r"initrd /muster/initrd(.*)", menu)
        == [" newc:swift.squashfs:/muster/swift newc:drivers.squashfs:/muster/drivers"] * 2
    )
    assert [read(medium, f"/muster/{name}") for name in PARTS] == ["swift same", "drivers same"]
    assert {path.name for path in medium.parent.iterdir()} == {"muster.iso", "read"}


def test_an_image_with_all_in_its_initrd_still_makes_a_medium(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    files = {name: entry for name, entry in image.files.items() if name not in PARTS}
    old = replace(image, files=files).sealed()
    build_iso(library, old, FULL, tmp_path / "muster.iso")
    assert "  initrd /muster/initrd\n" in read(tmp_path / "muster.iso", "/grub/grub.cfg")


def test_firmware_of_each_kind_finds_its_loader(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    medium = tmp_path / "muster.iso"
    build_iso(library, image, FULL, medium)
    words = [
        "xorriso",
        "-indev",
        medium,
        "-report_el_torito",
        "plain",
        "-report_system_area",
        "plain",
    ]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert re.search(r"El Torito boot img :   1  BIOS  y   none", told), told
    assert re.search(r"El Torito boot img :   2  UEFI  y   none", told), told
    # A USB disk: an MBR that starts, and an EFI system partition.
    assert "grub2-mbr" in told
    assert re.search(r"MBR partition +: +2 +0x00 +0xef ", told), told
    start = int(re.search(r"MBR partition +: +2 +0x00 +0xef +(\d+)", told)[1]) * 512  # type: ignore[index]
    listed = ["mdir", "-b", "-/", "-i", f"{medium}@@{start}"]
    found = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    assert {"::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/grubx64.efi", "::/grub/grub.cfg"} <= {*found}


def test_the_same_image_and_words_give_the_same_bytes(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    for name in ("one.iso", "two.iso"):
        build_iso(library, image, FULL, tmp_path / name)
    assert (tmp_path / "one.iso").read_bytes() == (tmp_path / "two.iso").read_bytes()


def test_without_a_server_the_entry_that_asks_is_the_first_choice(
    library: Library, image: Manifest, tmp_path: Path
) -> None:
    build_iso(library, image, Words(), tmp_path / "muster.iso")
    menu = read(tmp_path / "muster.iso", "/grub/grub.cfg")
    assert "set default=1\n" in menu
    assert "muster.server" not in menu


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (Words("10.0.0.5"), "--server '10.0.0.5' is no URL like http://"),
        (Words("https://10.0.0.5"), "no URL like http://"),
        (Words("http://x y"), "no URL"),
        (Words("http://x;reboot"), "no URL"),
        (Words(SERVER, "10.0.0.9"), "has no prefix: write 10.0.0.9/24"),
        (Words(SERVER, "10.0.0/24"), "--address '10.0.0'"),
        (Words(SERVER, "10.0.0.9/33"), "--address '10.0.0.9/33'"),
        (Words(SERVER, "10.0.0.9/24", "gateway"), "--gateway 'gateway'"),
        (Words(SERVER, "", "10.0.0.1"), "--gateway needs --address"),
        (Words(SERVER, "", "", ("dns",)), "--dns 'dns'"),
        (Words(SERVER, kernel_options="a;b"), "--kernel-options 'a;b'"),
    ],
)
def test_what_is_no_address_is_refused_by_its_flag(words: Words, says: str) -> None:
    with pytest.raises(BadWords) as caught:
        words.check()
    assert says in str(caught.value)


def test_a_stock_image_is_refused(library: Library, image: Manifest, tmp_path: Path) -> None:
    stock = Manifest(
        image.suite, image.arch, image.kernel_version, image.recipe, image.files, origin="x:y 1"
    )
    with pytest.raises(BuildError, match="stock image"):
        build_iso(library, stock, FULL, tmp_path / "muster.iso")
    assert not (tmp_path / "muster.iso").exists()


def test_missing_parts_are_named_with_their_package(
    library: Library, image: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iso, "GRUB", tmp_path / "nowhere")
    with pytest.raises(BuildError, match="apt-get install grub-pc-bin"):
        build_iso(library, image, FULL, tmp_path / "muster.iso")
    assert not (tmp_path / "muster.iso").exists()
