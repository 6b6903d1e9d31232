"""Firmware reaches the driver that asks for it: of a NIC that has no link without."""

from pathlib import Path

import pytest
from tests.e2e.served import Served

from muster.cli.client import machine_path
from muster.images import iso
from muster.images.firmware import INDEX
from muster.images.iso import Words
from muster.images.library import Library
from muster.lab.machines import Firmware, NicModel, NicOrder, Order

pytestmark = pytest.mark.e2e

ADDRESS = "10.99.0.77/24"
TWO = (NicOrder(), NicOrder(model=NicModel.I82551))


@pytest.fixture(autouse=True)
def _with_firmware(images: Path) -> None:
    if INDEX not in Library(images).in_use().files:
        pytest.skip("the image was built with --no-firmware")


def marks(served: Served, machine: str, phase: str) -> list[str]:
    """What the newest boot's timeline says of a phase that ended well."""
    (boot,) = served.boots(machine)[:1]
    assert not boot["failure"], served.timelines()
    told = [mark for mark in boot["timeline"] if mark["phase"] == phase]
    return [mark["detail"] for mark in told if mark["status"] == "done"]


def linked(served: Served, machine: str) -> dict[str, bool]:
    """Whether each NIC has a link, by its driver, as the last inventory has it."""
    document = served.api.get(machine_path(machine, "/resources"))
    cards = document["resources"]["network"]["cards"]
    return {card["driver"]: card["ports"][0]["link_detected"] for card in cards}


def test_a_nic_that_is_dead_without_firmware_has_it_from_its_medium(
    served: Served, images: Path, tmp_path: Path
) -> None:
    """Not by PXE: iPXE's driver of this NIC stands still in QEMU after some kilobytes."""
    served.kill()
    served.start(dhcp="none")
    library, medium = Library(images), tmp_path / "muster.iso"
    iso.build_iso(library, library.in_use(), Words("http://10.99.0.1:8472", ADDRESS), medium)
    nics = (NicOrder(model=NicModel.I82551),)
    served.lab.add(Order(name="m1", nics=nics, medium=str(medium)))
    (record,) = served.enlist("m1")
    assert record["state"] == "New"
    # It came with the initrd: nothing was left to be fetched.
    assert marks(served, record["id"], "firmware") == []
    assert linked(served, record["id"]) == {"e100": True}


def test_ipxe_says_which_nic_it_boots_from(served: Served) -> None:
    served.lab.add(Order(name="m1", nics=(NicOrder(model=NicModel.I82551),)))
    served.lab.machine("m1").on()
    answer = "; with firmware for e100"
    served.wait("m1 is answered", lambda: answer in served.timelines(), limit_s=60)


@pytest.mark.parametrize("start", ["swift", pytest.param("cloud-init", marks=pytest.mark.matrix)])
def test_a_second_nic_is_given_its_firmware_when_there_is_a_network_and_next_time_before(
    served: Served, start: str
) -> None:
    served.kill()
    served.start(start=start)
    served.lab.add(Order(name="m1", nics=TWO))
    (record,) = served.enlist("m1")
    (answer,) = marks(served, record["id"], "loader")
    assert "firmware" not in answer
    (told,) = marks(served, record["id"], "firmware")
    assert told.startswith("for e100 in ")
    assert linked(served, record["id"]) == {"virtio_net": True, "e100": True}

    # Now it is known what it has.
    machine = served.wire_power("m1")
    served.api.send("POST", machine_path(machine, "/commission"), {"tests": ["none"]})
    served.wait("m1 ends", lambda: served.last_run(machine)["ended_at"])
    (answer,) = marks(served, machine, "loader")
    assert answer.endswith("; with firmware for e100")
    assert marks(served, machine, "firmware") == []
    assert linked(served, machine) == {"virtio_net": True, "e100": True}


@pytest.mark.matrix
@pytest.mark.parametrize("firmware", [Firmware.SECURE_BOOT, Firmware.SECURE_BOOT_HTTP])
def test_a_machine_of_grub_that_nobody_knows_is_given_it_too(
    served: Served, firmware: Firmware
) -> None:
    served.lab.add(Order(name="m1", firmware=firmware, nics=TWO))
    (record,) = served.enlist("m1")
    answer = marks(served, record["id"], "loader")[-1]
    assert answer.endswith("; with firmware for any NIC")
    assert marks(served, record["id"], "firmware") == []
    assert linked(served, record["id"]) == {"virtio_net": True, "e100": True}
