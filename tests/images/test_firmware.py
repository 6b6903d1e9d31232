"""Side packages: what is in them, whose they are, and what an image without them is."""

import hashlib
import lzma
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.images.conftest import Shop
from tests.images.test_image_build import KERNEL, RECIPE, ROOT, bench, unpack, write_tar

from muster.images import build, command, manifest, root
from muster.images.errors import BuildError, ManifestError
from muster.images.firmware import (
    ANY,
    INDEX,
    SidePackage,
    build_firmware,
    newest,
    parse_index,
    pci_ids,
    wanted,
)
from muster.images.library import Library
from muster.images.tree import RootTar

__all__ = ["bench"]

FOLDER = f"usr/lib/modules/{KERNEL}"
NET, SCSI = "kernel/drivers/net/ethernet", "kernel/drivers/scsi"


def module(*words: str) -> bytes:
    """The section .modinfo of a module: words that end with a zero byte."""
    return lzma.compress(b"\x7fELF\0" + b"".join(word.encode() + b"\0" for word in words))


def alias(vendor: str, device: str, rest: str = "sv*sd*bc*sc*i*") -> str:
    return f"alias=pci:v0000{vendor}d0000{device}{rest}"


MODULES = {
    # The firmware is asked for by one that has no device; those that lean on it have.
    f"{NET}/qed.ko.xz": (module("firmware=qed/init.bin"), ""),
    f"{NET}/qede.ko.xz": (module(alias("1077", "1634"), alias("1077", "1629")), f"{NET}/qed.ko.xz"),
    f"{NET}/e100.ko.xz": (
        module("firmware=e100/a.bin", "firmware=e100/gone.bin", alias("8086", "1229", "sv*bc02")),
        "",
    ),
    f"{SCSI}/qla2xxx.ko.xz": (module("firmware=ql2500_fw.bin", alias("1077", "2532")), ""),
    # Two that take the same.
    f"{NET}/netxen_nic.ko.xz": (module("firmware=phanfw.bin", alias("4040", "0100")), ""),
    f"{NET}/qlcnic.ko.xz": (module("firmware=phanfw.bin", alias("1077", "8020")), ""),
    # No device, no file, nothing to ask for, another family, and one that writes to its card.
    f"{NET}/phy.ko.xz": (module("firmware=phanfw.bin"), ""),
    f"{NET}/cassini.ko.xz": (module("firmware=sun/cassini.bin", alias("108E", "ABBA")), ""),
    f"{NET}/igb.ko.xz": (module(alias("8086", "1533")), ""),
    "kernel/sound/beep.ko.xz": (module("firmware=phanfw.bin", alias("8086", "2668")), ""),
    f"{NET}/cxgb4.ko.xz": (module("firmware=phanfw.bin", alias("1425", "4001")), ""),
}
FIRMWARE = {
    "usr/lib/firmware/qed/init.bin": b"qed" * 500,
    "usr/lib/firmware/e100/a.bin": b"e100",
    # Debian 12 has it here.
    "lib/firmware/ql2500_fw.bin": b"qla",
    "usr/lib/firmware/phanfw.bin": b"phan",
    "usr/lib/firmware/nobody.bin": b"asked for by nobody",
    "status": b"Package: firmware-qlogic\nVersion: 1\nInstalled-Size: 9\n"
    b"Status: install ok installed\n\n",
}
INDEX_OF_ALL = [
    ("e100", "net", {"8086:1229"}),
    ("netxen-nic", "net", {"1077:8020", "4040:0100"}),
    ("qed", "net", {"1077:1629", "1077:1634"}),
    ("qla2xxx", "other", {"1077:2532"}),
]


def tars(folder: Path) -> tuple[Path, Path]:
    """The root's tar and that of the packages of firmware."""
    depends = "".join(f"{path}: {needs}\n" for path, (_, needs) in MODULES.items())
    files = {f"{FOLDER}/{path}": content for path, (content, _) in MODULES.items()}
    files |= {f"{FOLDER}/modules.{name}": b"" for name in ("alias", "softdep", "builtin")}
    files |= {f"{FOLDER}/modules.dep": depends.encode()}
    files |= {name: content for name, content in ROOT.items() if FOLDER not in name}
    firmware = {f"firmware/{name}": content for name, content in FIRMWARE.items()}
    folder.mkdir(exist_ok=True)
    return write_tar(folder / "root.tar", files), write_tar(folder / "firmware.tar", firmware)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[dict[str, Path]]:
    root_tar, firmware_tar = tars(tmp_path)
    with RootTar(root_tar) as tree, RootTar(firmware_tar) as firmware:
        yield build_firmware(tree, firmware, KERNEL, tmp_path)


def test_the_index_says_which_device_wants_which_package(made: dict[str, Path]) -> None:
    index = parse_index(made[INDEX].read_text())
    assert [(one.name, one.kind, set(one.ids)) for one in index] == INDEX_OF_ALL
    for one in index:
        content = made[f"firmware/{one.name}"].read_bytes()
        assert hashlib.sha256(content).hexdigest() == one.sha256
    assert set(made) == {INDEX, ANY, *(f"firmware/{one.name}" for one in index)}


def files_of(archive: Path, target: Path) -> set[str]:
    """What the system's own tools find in a side package."""
    target.mkdir()
    plain = subprocess.run(["xz", "-dc", archive], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["cpio", "-idm", "--quiet"], cwd=target, input=plain, check=True)
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


def test_a_package_holds_what_its_driver_names_and_says_that_it_is_here(
    made: dict[str, Path], tmp_path: Path
) -> None:
    assert files_of(made["firmware/qed"], tmp_path / "one") == {
        "lib/firmware/qed/init.bin", "firmware/qed",
    }  # fmt: skip
    assert (tmp_path / "one/lib/firmware/qed/init.bin").read_bytes() == b"qed" * 500
    # For whom nothing is known: only drivers without a link until then.
    assert files_of(made[ANY], tmp_path / "any") == {
        "lib/firmware/qed/init.bin", "firmware/qed", "lib/firmware/e100/a.bin", "firmware/e100",
    }  # fmt: skip


def test_the_kernel_can_unpack_it(made: dict[str, Path]) -> None:
    """Its xz knows CRC32 and nothing else (Documentation/staging/xz.rst)."""
    assert lzma.LZMADecompressor().decompress(made[ANY].read_bytes())[:6] == b"070701"
    decompressor = lzma.LZMADecompressor()
    decompressor.decompress(made[ANY].read_bytes())
    assert decompressor.check == lzma.CHECK_CRC32


def test_the_same_firmware_has_the_same_bytes_each_time(
    made: dict[str, Path], tmp_path: Path
) -> None:
    root_tar, firmware_tar = tars(tmp_path / "again")
    with RootTar(root_tar) as tree, RootTar(firmware_tar) as firmware:
        again = build_firmware(tree, firmware, KERNEL, tmp_path / "again")
    assert {n: p.read_bytes() for n, p in again.items()} == {
        n: p.read_bytes() for n, p in made.items()
    }


def test_of_versions_of_one_file_the_newest_is_taken() -> None:
    found = ("e1-7.13.9.0.fw", "e1-7.13.21.0.fw", "e2-7.13.9.0.fw", "06-6.2.3.fw", "09-6.2.1b.fw")
    found += ("rtl8168d-1.fw", "rtl8168d-2.fw", "t4fw.bin")
    assert set(newest(dict.fromkeys(found, b""))) == set(found) - {"e1-7.13.9.0.fw"}


hexa = st.text("0123456789ABCDEF", min_size=4, max_size=4)
more = st.from_regex(r"(sv(\*|[0-9A-F]{8})sd(\*|[0-9A-F]{8})bc(\*|[0-9A-F]{2})sc\*i\*)?", fullmatch=True)  # noqa: E501  # fmt: skip


@given(st.lists(st.tuples(hexa, hexa, more)), st.binary(max_size=40))
def test_whatever_else_an_alias_says_its_vendor_and_device_are_found(
    known: list[tuple[str, str, str]], noise: bytes
) -> None:
    words = [alias(*one).encode() for one in known]
    others = [b"alias=usb:v0BDAp8152d*", b"alias=pci:v*d*sv*sd*bc01sc06i01*", b"license=GPL"]
    found = pci_ids(b"\0" + b"\0".join([*words, *others, noise.replace(b"alias", b"")]) + b"\0")
    assert found == {f"{vendor}:{device}".lower() for vendor, device, _ in known}


names = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
ids = hexa.flatmap(lambda vendor: hexa.map(lambda device: f"{vendor}:{device}".lower()))
packages = st.builds(
    SidePackage, names, st.sampled_from(["net", "other"]),
    st.binary(max_size=9).map(lambda b: hashlib.sha256(b).hexdigest()),
    st.frozensets(ids, min_size=1, max_size=5),
)  # fmt: skip


@given(st.lists(packages, max_size=5), ids, st.text(max_size=30))
def test_an_index_is_read_as_it_was_written_and_damage_in_it_is_passed_over(
    index: list[SidePackage], device: str, damage: str
) -> None:
    text = "".join(one.line() for one in index)
    assert parse_index(text) == index
    broken = parse_index(f"{text}\n{damage}\n")
    assert broken[: len(index)] == index
    assert wanted(index, [device]) == sorted(one.name for one in index if device in one.ids)
    assert set(wanted(index, [device], "net")) <= set(wanted(index, [device]))


def with_firmware(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build's two tars, beside those that the bench makes."""
    before = build.build_root

    def build_root(recipe: object, work: Path, heard: object) -> Path:
        before(recipe, work, heard)  # type: ignore[arg-type]
        return tars(work)[0]

    monkeypatch.setattr(build, "build_root", build_root)


@pytest.mark.usefixtures("bench")
def test_an_image_has_its_packages_as_files_and_the_index_in_its_initrd(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_firmware(monkeypatch)
    recipe = replace(RECIPE, firmware=("firmware-qlogic",))
    image = build.build(library, recipe, progress=lambda text: None)
    assert library.verify(image.id) == []
    assert manifest.parse(image.to_json()) == image
    index = library.blob(image.files[INDEX].sha256).read_bytes()
    found = unpack(library.blob(image.files["initrd"].sha256), tmp_path / "found")
    assert (found / INDEX).read_bytes() == index
    for one in parse_index(index.decode()):
        assert image.files[f"firmware/{one.name}"].sha256 == one.sha256
    assert ("firmware-qlogic", "1", 9) in [
        (one.name, one.version, one.installed_kib) for one in image.packages
    ]


@pytest.mark.usefixtures("bench")
def test_an_image_can_be_without(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_firmware(monkeypatch)
    image = build.build(library, RECIPE, progress=lambda text: None)
    assert not any(name.startswith("firmware/") for name in image.files)
    found = unpack(library.blob(image.files["initrd"].sha256), tmp_path / "found")
    assert not (found / "firmware").exists()


def test_packages_without_a_file_that_is_asked_for_are_no_firmware(tmp_path: Path) -> None:
    root_tar, _ = tars(tmp_path)
    empty = write_tar(tmp_path / "empty.tar", {"firmware/status": b""})
    with (
        RootTar(root_tar) as tree,
        RootTar(empty) as firmware,
        pytest.raises(BuildError, match="'firmware': no package holds what the drivers"),
    ):
        build_firmware(tree, firmware, KERNEL, tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        "E: Unable to locate package firmware-bnx2x",
        "E: Failed to fetch http://m.example/dists/trixie/non-free-firmware/Packages  404",
        "W: repository 'http://m.example trixie InRelease' doesn't have the component"
        " 'non-free-firmware' (component misspelt in sources.list?)",
    ],
)
def test_a_mirror_without_firmware_is_named_with_the_way_to_go_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    def run(step: str, *_arguments: object, **_more: object) -> None:
        raise BuildError(step, "exit code 100", ["I: on", said])

    monkeypatch.setattr(command, "run", run)
    recipe = replace(RECIPE, firmware=("firmware-bnx2",))
    with pytest.raises(BuildError, match=r"non-free-firmware is missing.*build --no-firmware'"):
        root.build_root(recipe, tmp_path, lambda text: None)
    with pytest.raises(BuildError, match="'root': exit code 100"):
        root.build_root(RECIPE, tmp_path, lambda text: None)


def test_a_manifest_takes_side_packages_by_their_names_and_not_without_end(shop: Shop) -> None:
    image, _ = shop.image()
    entry = image.files["kernel"]
    some = {f"firmware/driver{number}": entry for number in range(128)}
    manifest.check(replace(image, files=image.files | some).sealed())
    with pytest.raises(ManifestError, match="129 of firmware, more than 128"):
        manifest.check(replace(image, files=image.files | some | {INDEX: entry}).sealed())
    for odd in (
        "firmware/",
        "firmware/../kernel",
        "firmware/A",
        "firmware/a_b",
        "firmware/" + "a" * 33,
    ):
        with pytest.raises(ManifestError, match="missing or unknown"):
            manifest.check(replace(image, files=image.files | {odd: entry}).sealed())
