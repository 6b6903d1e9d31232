import gzip
import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.images.conftest import Shop

from muster.images import build, command, cpio, initrd, root, squash
from muster.images.errors import BuildError
from muster.images.inside import check, customize, swift
from muster.images.library import Library
from muster.images.manifest import PARTS
from muster.images.recipe import HERE, Recipe
from muster.images.tree import RootTar

KERNEL = "6.12.1-amd64"
SIGNED = ("shimx64.efi.signed", "grubnetx64.efi.signed")
MODULES = f"usr/lib/modules/{KERNEL}"
ROOT = {
    "usr/bin/busybox": b"busybox",
    f"{MODULES}/modules.dep": b"kernel/drivers/net/ethernet/acme/acme.ko.xz: kernel/lib/crc.ko\n"
    b"kernel/lib/crc.ko:\nkernel/sound/beep.ko.xz:\nkernel/fs/squashfs/squashfs.ko.xz:\n",
    f"{MODULES}/modules.alias": b"# Aliases\nalias pci:v1d2* acme\nalias pci:v3d4* beep\n",
    f"{MODULES}/modules.softdep": b"# Soft\nsoftdep acme pre: phy\nsoftdep beep pre: snd\n",
    f"{MODULES}/modules.builtin": b"kernel/fs/ext2.ko\n",
    f"{MODULES}/kernel/drivers/net/ethernet/acme/acme.ko.xz": lzma.compress(
        b"\x7fELF\0firmware=acme/nic.bin\0license=GPL\0"
    ),
    f"{MODULES}/kernel/lib/crc.ko": b"\x7fELF crc",
    f"{MODULES}/kernel/sound/beep.ko.xz": lzma.compress(b"\x7fELF beep"),
    f"{MODULES}/kernel/fs/squashfs/squashfs.ko.xz": lzma.compress(b"\x7fELF squashfs"),
    "var/lib/dpkg/status": b"Package: fio\nStatus: install ok installed\nInstalled-Size: 7\n"
    b"Version: 3\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
}
RECIPE = Recipe("trixie", "amd64", (), ("fio",), (), (), "b" * 64)


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(archive: Path, target: Path) -> Path:
    """Unpack an initrd with the system's own tools, which know nothing of ours."""
    target.mkdir()
    plain = subprocess.run(["zstd", "-dcq", archive], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["cpio", "-idm", "--quiet"], cwd=target, input=plain, check=True)
    return target


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose two big tools are replaced by a tar and a squashfs of a few bytes."""

    def build_root(_recipe: Recipe, work: Path, _heard: object) -> Path:
        write_tar(work / "boot.tar", {f"boot/vmlinuz-{KERNEL}": b"kernel"})
        loaders = ("undionly.kpxe", "ipxe.pxe", "ipxe.efi", "snponly.efi")
        write_tar(work / "loaders.tar", {f"ipxe/{name}": name.encode() for name in loaders})
        write_tar(work / "swift.tar", {"swift/usr/bin/python3": b"python"})
        write_tar(work / "drivers.tar", {f"drivers/lib/modules/{KERNEL}/nvme.ko": b"nvme"})
        write_tar(work / "signed.tar", {f"signed/{name}": name.encode() for name in SIGNED})
        return write_tar(work / "root.tar", ROOT)

    def build_squashfs(
        tar: Path, target: Path, _kind: str = "root", *, arch: str = "amd64"
    ) -> None:
        target.write_bytes(tar.read_bytes()[:512])

    monkeypatch.setattr(build, "build_root", build_root)
    monkeypatch.setattr(build, "build_squashfs", build_squashfs)
    monkeypatch.setattr(command, "need", lambda *tools: None)


@pytest.mark.usefixtures("bench")
def test_a_build_ends_with_its_image_in_use(library: Library) -> None:
    image = build.build(library, RECIPE, progress=lambda text: None)
    assert library.current() == image
    assert library.verify(image.id) == []
    assert image.kernel_version == KERNEL
    assert [package.name for package in image.packages] == ["fio"]
    assert library.blob(image.files["loader/ipxe.efi"].sha256).read_bytes() == b"ipxe.efi"
    grub = library.blob(image.files["loader/grubx64.efi"].sha256)
    assert grub.read_bytes() == b"grubnetx64.efi.signed"


@pytest.mark.usefixtures("bench")
def test_what_a_swift_start_needs_lies_beside_the_initrd(library: Library, tmp_path: Path) -> None:
    image = build.build(library, RECIPE, progress=lambda text: None)
    assert image.swift
    packed = {name: library.blob(image.files[name].sha256).read_bytes() for name in PARTS}
    assert b"swift/usr/bin/python3" in packed["swift"]
    assert b"nvme.ko" in packed["drivers"]
    # Not in it: loaders fetch it ten times as slowly as a kernel does.
    found = unpack(library.blob(image.files["initrd"].sha256), tmp_path / "found")
    assert list(found.rglob("*.squashfs")) == []


@pytest.mark.usefixtures("bench")
def test_the_same_recipe_is_built_once_and_again_when_asked(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.build(library, RECIPE, progress=lambda text: None)
    again = build.build(library, RECIPE, progress=lambda text: None, refresh=True)
    assert again == first

    def never(*_arguments: object) -> Path:
        raise AssertionError("built a second time")

    monkeypatch.setattr(build, "build_root", never)
    assert build.build(library, RECIPE, progress=lambda text: None) == first


@pytest.mark.usefixtures("bench")
def test_a_build_that_fails_half_way_leaves_the_old_image_in_use(
    library: Library, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, files = shop.image()
    library.add(image, files)
    library.use(image.id)

    def broken(tar: Path, target: Path, _kind: str = "root", **_of: str) -> None:
        target.write_bytes(b"half")
        command.run("squashfs", ["sh", "-c", "echo no space left; exit 3"])

    monkeypatch.setattr(build, "build_squashfs", broken)
    with pytest.raises(BuildError, match=r"failed at 'squashfs': exit code 3[^\n]*\n *no space"):
        build.build(library, RECIPE, progress=lambda text: None)
    assert library.current() == image
    assert sorted(path.name for path in library.root.iterdir()) == ["blobs", "current", "images"]


def test_a_missing_tool_is_named_with_its_package() -> None:
    with pytest.raises(BuildError, match=r"mmdebstroop.*apt-get install"):
        command.need("sh", "mmdebstroop")


def test_a_failing_tool_check_is_the_reason_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(step: str, *_rest: object, **_more: object) -> None:
        raise BuildError(
            step, "exit code 25", ["I: on", "tool check: fio: exit code 127: librados"]
        )

    monkeypatch.setattr(command, "run", run)
    with pytest.raises(BuildError, match=r"'tools'.*\n *tool check: fio: exit code 127: librados$"):
        root.build_root(RECIPE, tmp_path, lambda text: None)


def test_the_initrd_holds_the_wanted_drivers_and_what_they_need(tmp_path: Path) -> None:
    with RootTar(write_tar(tmp_path / "root.tar", ROOT)) as tree:
        initrd.build_initrd(tree, KERNEL, tmp_path / "initrd")
    found = unpack(tmp_path / "initrd", tmp_path / "unpacked")
    modules = found / "lib" / "modules" / KERNEL
    packed = sorted(path.name for path in modules.rglob("*.ko*"))
    assert packed == ["acme.ko.xz", "crc.ko.gz", "squashfs.ko.xz"]
    assert gzip.decompress((modules / "kernel/lib/crc.ko.gz").read_bytes()) == b"\x7fELF crc"
    acme = "kernel/drivers/net/ethernet/acme/acme.ko.xz: kernel/lib/crc.ko.gz\n"
    assert acme in (modules / "modules.dep").read_text()
    assert (modules / "modules.alias").read_text() == "alias pci:v1d2* acme\n"
    assert (modules / "modules.softdep").read_text() == "softdep acme pre: phy\n"
    assert not (found / "lib/firmware").exists()
    assert os.access(found / "init", os.X_OK)
    assert (found / "bin" / "sh").readlink() == Path("busybox")


def test_the_initrd_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    with RootTar(write_tar(tmp_path / "root.tar", ROOT)) as tree:
        initrd.build_initrd(tree, KERNEL, tmp_path / "one")
        initrd.build_initrd(tree, KERNEL, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_small_root_leaves_nic_drivers_to_the_initrd() -> None:
    paths = [
        "kernel/drivers/nvme/host/nvme.ko.xz",
        "kernel/drivers/net/ethernet/intel/ice/ice.ko.xz",
        "kernel/drivers/scsi/scsi_debug.ko.xz",
        "kernel/sound/core/snd.ko.xz",
        "kernel/drivers/char/ipmi/ipmi_si.ko.xz",
    ]
    assert swift.chosen(paths) == [paths[0], paths[4]]


@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox to know its applets")
def test_the_initrd_links_the_commands_that_its_scripts_use_and_no_others() -> None:
    folder = HERE / "files" / "initrd"
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    text = "\n".join(text for text in texts if text.startswith("#!/bin/sh"))
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    code = code.replace("exec ", "").replace('timeout "$seconds"', "timeout;")
    said = subprocess.run(["busybox", "--list"], check=True, capture_output=True, text=True)
    known = {*said.stdout.split(), "switch_root", "uevent"} - {"echo", "kill", "printf", "sh"}
    start = r"(?:^|[|;&({]|\$\(|\b(?:do|then|xargs|if|!))"
    used = set(re.findall(rf"(?m){start}\s*([a-z_0-9]+)\b(?!=)", code))
    assert used & known == set(initrd.APPLETS) & known


def test_a_root_without_busybox_is_refused_by_name(tmp_path: Path) -> None:
    files = {name: content for name, content in ROOT.items() if "busybox" not in name}
    with (
        RootTar(write_tar(tmp_path / "root.tar", files)) as tree,
        pytest.raises(BuildError, match="no usr/bin/busybox"),
    ):
        initrd.build_initrd(tree, KERNEL, tmp_path / "initrd")


def test_a_cpio_is_what_cpio_reads(tmp_path: Path) -> None:
    archive = cpio.archive(
        {"a/b/file": (stat.S_IFREG | 0o600, b"12345"), "link": (stat.S_IFLNK | 0o777, b"a/b/file")}
    )
    subprocess.run(["cpio", "-idm", "--quiet"], cwd=tmp_path, input=archive, check=True)
    assert (tmp_path / "link").read_bytes() == b"12345"
    assert stat.S_IMODE((tmp_path / "a/b/file").stat().st_mode) == 0o600


SCRIPTS = ("init", *(f"bin/{name}" for name in ("hotplug", "lease", "leave", "medium", "firmware")))


@pytest.mark.parametrize("script", [*SCRIPTS, "bin/network", "bin/root", "bin/swift"])
def test_the_scripts_of_the_initrd_are_shell(script: str) -> None:
    done = subprocess.run(
        ["sh", "-n", HERE / "files" / "initrd" / script], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_masking_hides_a_unit_and_an_older_link(tmp_path: Path) -> None:
    customize.mask(tmp_path, "etc/systemd/system", ["a.service"])
    customize.mask(tmp_path, "etc/systemd/system", ["a.service", "b.timer"])
    links = sorted((tmp_path / "etc/systemd/system").iterdir())
    assert [(link.name, str(link.readlink())) for link in links] == [
        ("a.service", "/dev/null"),
        ("b.timer", "/dev/null"),
    ]


def test_nothing_that_identifies_a_machine_stays_in_the_root(tmp_path: Path) -> None:
    secrets = (
        "etc/ssh/ssh_host_rsa_key",
        "etc/nvme/hostid",
        "etc/nvme/hostnqn",
        "var/log/dpkg.log",
    )
    for name in (*secrets, "etc/machine-id", "etc/ssh/sshd_config", "tmp/mmdebstrap.apt.conf.x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0123456789abcdef")
    customize.forget(tmp_path)
    assert [name for name in secrets if (tmp_path / name).exists()] == []
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert (tmp_path / "etc/ssh/sshd_config").exists()
    assert (tmp_path / "tmp/mmdebstrap.apt.conf.x").exists()


def test_cloud_final_no_longer_waits_for_all_other_units(tmp_path: Path) -> None:
    shipped = tmp_path / "usr/lib/systemd/system"
    (shipped / "multi-user.target.wants").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    unit = "[Unit]\nAfter=cloud-config.service\nAfter=multi-user.target\n"
    (shipped / "cloud-final.service").write_text(unit)
    customize.boot_to_the_user_data(tmp_path)
    ours = (tmp_path / "etc/systemd/system/cloud-final.service").read_text()
    assert ours == "[Unit]\nAfter=cloud-config.service\n"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (check.Check("true"), None),
        (check.Check("echo version 3", says=r"version \d"), None),
        (check.Check("echo lib.so.2: no such file >&2; exit 127"), "exit code 127: lib.so.2"),
        (check.Check("echo nothing", says="version"), "does not say 'version': nothing"),
        (check.Check("echo 'error while loading shared libraries: x'"), "exit code 0: error while"),
    ],
)
def test_a_tool_is_judged_by_its_code_its_words_and_its_libraries(
    row: check.Check, says: str | None
) -> None:
    found = check.problem(row)
    assert found is None if says is None else found is not None and says in found


def test_every_package_that_is_asked_for_is_there_for_a_tool_that_is_checked() -> None:
    commands = " ".join(row.command for row in check.CHECKS)
    for tool in ("fio", "stress-ng", "memtester", "lshw", "ipmitool", "nvme", "smartctl", "lldpd"):
        assert tool in commands


def test_a_module_is_unpacked_for_the_small_root(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(b"\x7fELF a"))
    (tmp_path / "b.ko.zst").write_bytes(b"packed otherwise")
    for name in ("a.ko.xz", "b.ko.zst"):
        swift.unpack(tmp_path / name, tmp_path / "lib" / name)
    assert (tmp_path / "lib/a.ko").read_bytes() == b"\x7fELF a"
    assert (tmp_path / "lib/b.ko.zst").read_bytes() == b"packed otherwise"


@pytest.mark.image
@pytest.mark.parametrize("kind", ["root", "swift", "drivers"])
def test_the_squashfs_of_a_tar_has_the_same_bytes_each_time(tmp_path: Path, kind: str) -> None:
    tar = write_tar(tmp_path / "root.tar", ROOT)
    squash.build_squashfs(tar, tmp_path / "one", kind)
    squash.build_squashfs(tar, tmp_path / "two", kind)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
