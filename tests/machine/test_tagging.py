"""Names of tags, what a definition may ask, and the tags that hardware gives itself."""

import json
from typing import Any

import pytest
from rackserver import rackserver

from muster.machine.conditions import evaluate
from muster.machine.tagging import BadDefinition, automatic, definition, valid
from muster.wire.resources import read_document


def tags_of(**resources: Any) -> dict[str, str]:
    whole = {"api_version": "1.0", "resources": resources}
    return automatic(read_document(json.dumps(whole).encode()))


def disks(*found: dict[str, Any]) -> dict[str, str]:
    return tags_of(storage={"disks": [{"id": f"sd{n}", **disk} for n, disk in enumerate(found)]})


def test_a_rack_server_is_physical_and_has_no_spinning_disk() -> None:
    found = automatic(read_document(json.dumps(rackserver()).encode()))
    assert "virtual" not in found
    assert "rotary" not in found


def test_disks_say_how_fast_they_turn_and_how_they_are_attached() -> None:
    assert disks({"rpm": 7200, "type": "sata"}, {"rotational": False}) == {
        "7200rpm": "disk sd0 turns at 7200 rpm",
        "rotary": "disk sd0 turns",
        "sata": "disk sd0 is a SATA disk",
        "ssd": "disk sd1 does not turn",
    }
    assert disks({"removable": True}) == {"removable": "disk sd0 is removable"}
    assert disks({"type": "cdrom", "removable": True, "rotational": True}) == {}


@pytest.mark.parametrize("bus", ["fc-0x50", "sas-0x5000", "ip-10.0.0.1:3260-iscsi-iqn"])
def test_one_disk_on_two_paths_is_multipath(bus: str) -> None:
    path = f"pci-0000:05:00.0-{bus}-lun-1"
    one = {"serial": "36001405", "size": 2**40}
    found = disks({**one, "device_path": path}, {**one, "device_path": path.replace("05", "06")})
    assert found["multipath"] == "disks sd0, sd1 are one, serial 36001405"


def test_two_disks_with_a_vendor_s_filler_for_serial_are_two() -> None:
    one = {"serial": "0000", "size": 2**40, "device_path": "pci-0000:05:00.0-sas-1-lun-1"}
    assert "multipath" not in disks(one, one)
    local = {"serial": "S1", "size": 2**40, "device_path": "pci-0000:05:00.0-ata-1"}
    assert "multipath" not in disks(local, local)


def test_a_virtual_machine_and_a_card_with_virtual_functions_say_so() -> None:
    card = {"pci_address": "0000:05:00.0", "sriov": {"maximum_vfs": 64}}
    found = tags_of(system={"type": "virtual-machine"}, network={"cards": [card]})
    assert found == {
        "virtual": "the system is virtual-machine",
        "sriov": "NIC 0000:05:00.0 has up to 64 VFs",
    }


def test_a_definition_asks_for_hardware() -> None:
    node = definition("gpu.count >= 2 and vendor has Dell and mac matches '52:*' and not virtual")
    assert evaluate(node, {"vendor": "HP", "hardware": {"gpu.count": 4}}).holds is False


@pytest.mark.parametrize("text", ["state = New", "pool = a", "name matches 'x*'", "permitted"])
def test_a_definition_cannot_ask_for_what_people_decide(text: str) -> None:
    with pytest.raises(BadDefinition, match="use a rule"):
        definition(f"memory > 1GiB or {text}")


def test_a_definition_cannot_ask_for_tags() -> None:
    with pytest.raises(BadDefinition, match="might go round"):
        definition("any(tag = gpu)")


def test_names_are_words_that_the_language_of_conditions_reads() -> None:
    assert all(map(valid, ("gpu", "7200rpm", "rack-3.left", "_x", "a" * 64)))
    assert not any(map(valid, ("", "a b", "-x", "a" * 65, "a\n", "ä", "a/b")))
