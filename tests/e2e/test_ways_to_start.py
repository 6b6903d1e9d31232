"""Every firmware path, swift and through cloud-init, to New and to Ready.

`make test` has a few of them, `make test-boot` all.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.served import SLOW, Served

from muster.cli.client import machine_path
from muster.images.library import Library
from muster.lab.machines import Bmc, DiskKind, DiskOrder, Firmware, NicModel, NicOrder, Order

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
SHORT = {(Firmware.SECURE_BOOT_HTTP, "swift"), (Firmware.SECURE_BOOT, "cloud-init")}
"""One machine by HTTP alone and one by TFTP; tests of other things start BIOS machines swiftly."""


def ways() -> list[Any]:
    return [
        pytest.param(
            firmware,
            start,
            id=f"{firmware}-{start}",
            marks=[] if (firmware, start) in SHORT else [pytest.mark.matrix],
        )
        for firmware in Firmware
        for start in ("swift", "cloud-init")
    ]


@pytest.mark.parametrize(("firmware", "start"), ways())
def test_a_machine_becomes_new_and_ready(served: Served, firmware: Firmware, start: str) -> None:
    served.kill()
    served.start(start=start, **({"dhcp": "none", "dhcp6": "own"} if firmware.by_ipv6 else {}))
    served.lab.add(Order(name="m1", firmware=firmware))
    (record,) = served.enlist("m1")
    assert (record["state"], record["firmware"]) == ("New", firmware.kind)
    check_way(served, record["id"], firmware, start)

    machine = served.wire_power("m1")
    served.api.send("POST", machine_path(machine, "/commission"), {})
    served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])
    told = [(r["name"], r["state"], r["reason"]) for r in served.last_run(machine)["results"]]
    assert served.api.get(machine_path(machine))["state"] == "Ready", told
    served.lab.machine("m1").wait_until("stopped", limit_s=SLOW)
    check_way(served, machine, firmware, start)


def check_way(served: Served, machine: str, firmware: Firmware, start: str) -> None:
    """The newest boot went by this way and no other."""
    boot = served.boots(machine)[0]
    marks = boot["timeline"]
    reached = {mark["phase"] for mark in marks if mark["status"] == "done"}
    assert ("metadata" in reached) == (start == "cloud-init"), served.timelines()
    by_tftp = [mark for mark in marks if "by TFTP" in mark["detail"]]
    pxe = (Firmware.UEFI, Firmware.SECURE_BOOT, Firmware.UEFI_IPV6)
    assert bool(by_tftp) == (firmware in pxe), served.timelines()
    assert (":" in boot["client_ip"]) == firmware.by_ipv6
    assert not boot["failure"]
    if firmware.secure:
        log = (Path(served.lab.machine("m1").document()["folder"]) / "serial.log").read_text(
            errors="replace"
        )
        assert "Secure boot enabled" in log
        assert "iPXE" not in log


@pytest.mark.parametrize(
    "firmware", [Firmware.UEFI, pytest.param(Firmware.SECURE_BOOT_HTTP, marks=pytest.mark.matrix)]
)
def test_a_uefi_machine_that_shall_start_its_own_disk_does(
    served: Served, images: Path, tmp_path: Path, firmware: Firmware
) -> None:
    served.kill()
    served.start(enlist="deny")
    served.lab.add(Order(name="m1", firmware=firmware))
    install(served.lab.machine("m1").disk(), Library(images), tmp_path)
    served.lab.machine("m1").on()
    log = Path(served.lab.machine("m1").document()["folder"]) / "serial.log"
    served.wait("the disk starts", lambda: b"started from its disk" in log.read_bytes())
    assert {boot["purpose"] for boot in served.api.get("/boots")} == {"refused"}


def install(disk: Path, library: Library, folder: Path) -> None:
    """An EFI system partition whose loader, signed, says where it comes from."""
    partition, config = folder / "esp", folder / "grub.cfg"
    config.write_text("echo started from its disk\n")
    with partition.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.fat", "-F", "16", partition], check=True, stdout=subprocess.DEVNULL)
    for parent in ("EFI", "EFI/BOOT", "grub"):
        subprocess.run(["mmd", "-i", partition, f"::{parent}"], check=True)
    signed = library.in_use().files
    for source, name in (
        (library.blob(signed["loader/shimx64.efi"].sha256), "EFI/BOOT/BOOTX64.EFI"),
        (library.blob(signed["loader/grubx64.efi"].sha256), "EFI/BOOT/grubx64.efi"),
        (config, "grub/grub.cfg"),
    ):
        subprocess.run(["mcopy", "-i", partition, source, f"::{name}"], check=True)
    table = "label: gpt\nstart=2048, size=131072, type=U\n"
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    with disk.open("r+b") as file:
        file.seek(MIB)
        file.write(partition.read_bytes())


RICH = Order(
    name="m1",
    cpus=2,
    memory_mib=2048,
    dimms=2,
    tpm=True,
    bmc=Bmc.KCS,
    nics=(NicOrder(), NicOrder(model=NicModel.E1000E)),
    disks=(
        DiskOrder(kind=DiskKind.NVME),
        DiskOrder(kind=DiskKind.SATA),
        DiskOrder(kind=DiskKind.SCSI),
        DiskOrder(kind=DiskKind.USB, size_mib=64),
    ),
)
SAME = (
    *("00-maas-02-virtuality", "00-maas-04-list-modaliases", "00-maas-08-serial-ports"),
    "00-maas-06-get-fruid-api-data",
)


def test_both_ways_find_the_same(served: Served) -> None:
    served.lab.add(RICH)
    (record,) = served.enlist("m1")
    machine = served.wire_power("m1")
    swift = outputs(served, machine)
    check_way(served, machine, Firmware.BIOS, "swift")
    served.kill()
    served.start(start="cloud-init")
    served.api.send("POST", machine_path(machine, "/commission"), {"tests": ["none"]})
    served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])
    whole = outputs(served, machine)
    check_way(served, machine, Firmware.BIOS, "cloud-init")

    difference = served.api.get(machine_path(machine, "/diff"), old=1, new=2)
    # QEMU's tables (SMBIOS 39) have no power supply in them.
    assert (difference["changes"], difference["unread"]) == ([], ["power supply"])
    for name in SAME:
        assert told(swift[name]) ^ told(whole[name]) == set(), name
    again = served.api.get(machine_path(machine))
    assert again["macs"] == record["macs"]
    assert summed_up(again) == summed_up(record)
    states = {r["name"]: r["state"] for r in served.last_run(machine)["results"]}
    # An enlistment leaves a BMC alone.
    assert set(states) - {"30-maas-01-bmc-config"} == set(swift)


def summed_up(record: dict[str, Any]) -> dict[str, Any]:
    """The kernel names SCSI disks in the order in which they answer, in each boot another."""
    disks = sorted((disk | {"name": ""} for disk in record["summary"]["disks"]), key=str)
    return record["summary"] | {"disks": disks}


def told(output: bytes) -> set[bytes]:
    """Its lines, without the aliases that drivers of mouse and beeper make when udev loads them."""
    return {line for line in output.splitlines() if not line.startswith(b"input:")}


def outputs(served: Served, machine: str) -> dict[str, bytes]:
    """What each script of the newest run printed."""
    found = {}
    for result in served.last_run(machine)["results"]:
        assert result["state"] in ("passed", "skipped"), result
        body, _ = served.api.raw("GET", f"/results/{result['id']}/output", stream="stdout")
        found[result["name"]] = body
    return found


def test_a_machine_with_1_gib_enlists(served: Served) -> None:
    served.lab.add(Order(name="m1", memory_mib=1024))
    (record,) = served.enlist("m1")
    assert record["state"] == "New"
    assert served.last_run(record["id"])["reason"] == "every script passed"
