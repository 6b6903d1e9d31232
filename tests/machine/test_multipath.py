"""One disk on several paths is one disk; two that look alike are two."""

from typing import Any

import pytest

from muster.machine.differences import compare
from muster.machine.facts import read
from muster.machine.multipath import condensed
from muster.wire.hardware import Disk
from muster.wire.resources import Document, Resources

WWN = "0x5000c500a1b2c3d4"


def disk(number: int, **more: Any) -> Disk:
    path = f"pci-0000:3b:00.0-fc-0x500{number}-lun-1"
    known = {"id": f"sd{number}", "device_path": path, "serial": "36001405", "size": 10**12}
    return Disk(**{**known, "type": "scsi", "wwn": WWN, **more})


def machine(*disks: Disk) -> Document:
    resources = Resources()
    resources.storage.disks = list(disks)
    return Document("1.0", resources)


def told(old: Document, new: Document) -> list[str]:
    return [change.sentence for change in compare(old, new)]


TWO: dict[str, tuple[Disk, Disk]] = {
    "another WWN": (disk(1), disk(2, wwn="0x5000c500a1b2c3d5")),
    "another serial number": (disk(1), disk(2, serial="36001406")),
    "another size": (disk(1), disk(2, size=5)),
    "a filler for a serial number": (disk(1, serial="0000"), disk(2, serial="0000")),
    "a USB bridge's serial number": (
        disk(1, wwn="", device_path="pci-0000:00:14.0-usb-0:1:1.0-scsi-0:0:0:0"),
        disk(2, wwn="", device_path="pci-0000:00:14.0-usb-0:2:1.0-scsi-0:0:0:0"),
    ),
    "said twice by a document that lies": (disk(1), disk(1, id="sd9")),
    "two namespaces": (disk(1, type="nvme"), disk(2, type="nvme")),
}


@pytest.mark.parametrize("why", TWO)
def test_two_disks_are_two(why: str) -> None:
    assert len(condensed(TWO[why])) == 2


def test_four_paths_to_one_disk_are_one_disk_of_which_conditions_know() -> None:
    whole = machine(*(disk(n) for n in range(4)))
    facts = read(whole)
    assert facts["disk.count"] == 1
    assert facts["disks"][0]["paths"] == 4


def test_a_path_that_is_lost_is_one_sentence_whichever_it_was() -> None:
    two = machine(disk(1), disk(2))
    for left in (1, 2):
        (sentence,) = told(two, machine(disk(left)))
        assert sentence.endswith(f"(sd{left} serial 36001405): paths 2, now 1")


def test_the_order_in_which_paths_are_found_is_no_change() -> None:
    one = machine(disk(1, id="sda"), disk(2, id="sdb"))
    other = machine(disk(2, id="sda"), disk(1, id="sdb"))
    assert told(one, other) == []


def test_the_disk_gone_with_all_its_paths_is_one_sentence() -> None:
    (sentence,) = told(machine(disk(1), disk(2)), machine())
    assert sentence.endswith("is gone: 1 TB serial 36001405")
