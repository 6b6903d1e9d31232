"""What one pair of hands changed is one sentence, however many parts tell of it."""

import copy
import json
from typing import Any

from rackserver import rackserver

from muster.machine.differences import compare
from muster.wire.resources import read_document

Plain = dict[str, Any]


def told(old: Plain, new: Plain) -> list[str]:
    first, second = (read_document(json.dumps(plain).encode()) for plain in (old, new))
    return [change.sentence for change in compare(first, second)]


def without_card(plain: Plain) -> Plain:
    new = copy.deepcopy(plain)
    new["resources"]["network"]["cards"].pop(0)
    new["extra"]["nics"]["interfaces"] = new["extra"]["nics"]["interfaces"][2:]
    return new


def test_a_card_with_two_ports_goes_with_its_transceivers_in_one_sentence() -> None:
    assert told(rackserver(), without_card(rackserver())) == [
        "NIC at 0000:30:00 is gone: Mellanox Technologies MT27800 [ConnectX-5] with"
        " ens0f0np0 b8:59:9f:00:00:00, ens0f1np1 b8:59:9f:00:00:01"
    ]


def test_a_card_s_firmware_is_told_once_for_its_ports() -> None:
    new = rackserver()
    new["resources"]["network"]["cards"][1]["firmware_version"] = "22.36"
    assert told(rackserver(), new) == [
        "NIC at 0000:31:00.0 port 0, 0000:31:00.0 port 1: firmware 16.35.2000, now 22.36"
    ]


def test_two_cards_that_are_gone_are_two_sentences() -> None:
    new = rackserver()
    new["resources"]["network"]["cards"] = []
    new["extra"]["nics"]["interfaces"] = []
    assert len(told(rackserver(), new)) == 2


def test_the_microcode_of_all_processors_is_one_sentence_and_of_one_another() -> None:
    new = rackserver()
    for package in new["extra"]["processors"]["packages"]:
        package["microcode"] = "0xd1"
    assert told(rackserver(), new) == [
        "processor at socket 0, socket 1: microcode 0xd0003a5, now 0xd1"
    ]


def test_links_that_are_lost_on_two_ports_are_two_sentences() -> None:
    new = rackserver()
    for port in new["resources"]["network"]["cards"][0]["ports"]:
        port["link_detected"] = False
    assert len(told(rackserver(), new)) == 2


def test_a_controller_takes_its_disks_along() -> None:
    new = rackserver()
    new["resources"]["pci"]["devices"].pop(0)
    new["resources"]["storage"]["disks"].pop()
    assert told(rackserver(), new) == [
        "PCI device at 0000:00:17.0 is gone: Intel Corporation C620 SATA Controller, with 1 disk"
    ]


def test_an_interface_that_has_another_name_moves_no_transceiver() -> None:
    new = json.loads(
        json.dumps(rackserver())
        .replace("ens0f0np0", "swap")
        .replace("ens0f1np1", "ens0f0np0")
        .replace("swap", "ens0f1np1")
    )
    assert told(rackserver(), new) == []


def test_a_bigger_dimm_without_serial_number_is_one_sentence() -> None:
    old, new = rackserver(), rackserver()
    for plain in (old, new):
        for slot in plain["extra"]["dimms"]["slots"]:
            slot.pop("serial", None)
    new["extra"]["dimms"]["slots"][0]["size"] = 2**36
    new["resources"]["memory"]["total"] += 2**35
    assert told(old, new) == ["DIMM in slot A1: size 32 GiB, now 64 GiB"]
