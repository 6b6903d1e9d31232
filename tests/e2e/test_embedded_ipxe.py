"""Machines start by an iPXE that brings its own script, where DHCP says nothing of booting.

On UEFI `autoexec.ipxe` beside it; on BIOS the script as initrd of ipxe.lkrn. What iPXE runs is the
same as what is embedded when it is built.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.served import Served
from tests.e2e.test_ways_to_start import install
from tests.lab.test_live_bmcs import SECTOR

from muster.boot.snippets import Here, snippet
from muster.images.library import Library
from muster.lab.machines import Firmware, MediumBus, NicOrder, Order

pytestmark = [pytest.mark.e2e, pytest.mark.matrix]

SCRIPT = snippet("ipxe", Here(tftp="10.99.0.1", url="http://10.99.0.1:8472"))


def usb_disk(library: Library, folder: Path) -> Path:
    """As docs/dhcp.md says: iPXE as it is, and its script as a file beside it."""
    disk, script = folder / "ipxe.img", folder / "autoexec.ipxe"
    script.write_text(SCRIPT)
    ipxe = library.blob(library.in_use().files["loader/ipxe.efi"].sha256)
    subprocess.run(["mkfs.fat", "-C", disk, "4096"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mmd", "-i", disk, "::EFI", "::EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", disk, ipxe, "::EFI/BOOT/BOOTX64.EFI"], check=True)
    subprocess.run(["mcopy", "-i", disk, script, "::autoexec.ipxe"], check=True)
    return disk


def _lkrn(folder: Path) -> Path:
    """Out of Debian's package, which when it is installed adds itself to the host's boot menu."""
    subprocess.run(["apt-get", "download", "-q", "ipxe"], cwd=folder, check=True)
    (package,) = folder.glob("ipxe_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "ipxe"], check=True)
    (found,) = (path for path in folder.glob("ipxe/**/ipxe.lkrn") if not path.is_symlink())
    return found


def grub_disk(_library: Library, folder: Path) -> Path:
    """A GRUB that starts iPXE as a kernel, and gives it its script."""
    tree, disk = folder / "tree", folder / "grub.iso"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "ipxe.lkrn").write_bytes(_lkrn(folder).read_bytes())
    (tree / "autoexec.ipxe").write_text(SCRIPT)
    config = "set timeout=0\nlinux16 /ipxe.lkrn\ninitrd16 /autoexec.ipxe\nboot\n"
    (tree / "boot/grub/grub.cfg").write_text(config)
    command = ["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", disk, tree]
    subprocess.run(command, check=True, capture_output=True)
    return disk


WAYS = pytest.mark.parametrize(
    ("firmware", "make", "bus"),
    [
        (Firmware.UEFI, usb_disk, MediumBus.USB),
        (Firmware.BIOS, grub_disk, MediumBus.CD),
    ],
)


@contextmanager
def plain_dhcp(served: Served, folder: Path) -> Iterator[None]:
    """A DHCP server that says nothing of booting."""
    words = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=br0"]
    words += ["--bind-interfaces", "--except-interface=lo", f"--dhcp-leasefile={folder}/leases"]
    other = served.lab.run_inside([*words, "--dhcp-range=10.99.0.100,10.99.0.200,1h"])
    try:
        yield
    finally:
        other.terminate()
        other.wait(30)


@WAYS
def test_an_ipxe_with_its_own_script_needs_no_boot_option_of_dhcp_and_finds_the_right_nic(
    served: Served,
    images: Path,
    tmp_path: Path,
    firmware: Firmware,
    make: Callable[[Library, Path], Path],
    bus: MediumBus,
) -> None:
    served.kill()
    served.start(dhcp="none")
    with plain_dhcp(served, tmp_path):
        medium = str(make(Library(images), tmp_path))
        served.lab.add(
            Order(
                name="m1", firmware=firmware, medium=medium, medium_bus=bus,
                nics=(NicOrder(), NicOrder()),
            )
        )  # fmt: skip
        served.lab.machine("m1").link(0, up=False)
        (record,) = served.enlist("m1")
    assert (record["state"], record["firmware"]) == ("New", firmware.kind)
    (boot,) = served.boots(record["id"])
    assert boot["mac"] == served.lab.machine("m1").document()["macs"][1]
    details = [mark["detail"] for mark in boot["timeline"]]
    assert not [detail for detail in details if "TFTP" in detail or "offered" in detail]


@WAYS
def test_a_machine_that_shall_start_its_own_disk_does_not_start_the_medium_again(
    served: Served,
    images: Path,
    tmp_path: Path,
    firmware: Firmware,
    make: Callable[[Library, Path], Path],
    bus: MediumBus,
) -> None:
    served.kill()
    served.start(dhcp="none", enlist="deny")
    medium = str(make(Library(images), tmp_path))
    served.lab.add(Order(name="m1", firmware=firmware, medium=medium, medium_bus=bus))
    machine = served.lab.machine("m1")
    if firmware is Firmware.BIOS:
        with machine.disk().open("r+b") as disk:
            disk.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa")
    else:
        install(machine.disk(), Library(images), tmp_path)
    with plain_dhcp(served, tmp_path):
        machine.on()
        machine.wait_for("started from (its|the) disk", limit_s=240)
    assert {boot["purpose"] for boot in served.api.get("/boots")} == {"refused"}
    assert len(served.api.get("/boots")) == 1
