"""Which record is which row of the manifest, and each disagreement in one sentence."""

from dataclasses import replace
from typing import Any

import pytest

from muster.machine.cabling import Wired, neighbour
from muster.machine.manifest import Cable, Row
from muster.machine.placing import Finding, Manifest, Seen


def mac(number: int) -> str:
    return f"b8:59:9f:00:00:{number:02x}"


def heard(nic: str, switch: str, port: str, **more: Any) -> dict[str, Any]:
    """As lifecycle.readings has it of lldpcli."""
    said = {"interface": nic, "switch": switch, "chassis_id": "00:1c:73:00:00:01", "port_id": port}
    return {**said, "port": port, "management": ["10.0.0.2"], **more}


def machine(number: int, *at: dict[str, Any], **more: Any) -> Seen:
    """web-N with serial number SN, on eno1 and eno2 of it."""
    macs = {mac(2 * number): "eno1", mac(2 * number + 1): "eno2"}
    links = more.pop("links", {"eno1": True, "eno2": True})
    wire = Wired(tuple(map(neighbour, at)), bool(at), macs, links)
    known = Seen(f"m{number}", f"web-{number}", serial=f"S{number}", wired=wire)
    return replace(known, **more)


def row(number: int, *cables: Cable, **more: Any) -> Row:
    known = Row(name=f"web-{number}", serial=f"S{number}", macs=(mac(2 * number),), cables=cables)
    return replace(known, **more)


def finding(rows: list[Row], machines: list[Seen], number: int = 0) -> Finding:
    return Manifest(rows, machines).finding(rows[number])


def told(rows: list[Row], machines: list[Seen], number: int = 0) -> list[str]:
    return list(finding(rows, machines, number).mismatches)


ENO1 = Cable("eno1", "sw1", "Ethernet1/5")
ENO2 = Cable("eno2", "sw2", "Ethernet1/5")
AT1 = heard("eno1", "sw1", "Ethernet1/5")
AT2 = heard("eno2", "sw2", "Ethernet1/5")

ONE: dict[str, tuple[Row, Seen, list[str]]] = {
    "all as it should be": (row(1, ENO1, ENO2), machine(1, AT1, AT2), []),
    "it has another name": (
        row(1), machine(1, name="bold-otter"), ["name bold-otter, the manifest says web-1"],
    ),
    "another serial number": (
        row(1), machine(1, serial="S9"), ["serial number S9, the manifest says S1"],
    ),
    "the serial number in other letters": (row(1), machine(1, serial="s1"), []),
    "another UUID": (
        row(1, uuid="4c4c4544-0051-3310-8051-b4c04f4e3331"),
        machine(1, uuid="4c4c4544-0051-3310-8051-b4c04f4e3332"),
        ["hardware UUID 4c4c4544-0051-3310-8051-b4c04f4e3332, the manifest says"
         " 4c4c4544-0051-3310-8051-b4c04f4e3331"],
    ),
    "a MAC that it has not": (
        row(1, macs=(mac(2), mac(0xEE))), machine(1), [f"MAC {mac(0xEE)} is not in it"],
    ),
    "another BMC address": (
        row(1, bmc="10.1.0.5"), machine(1, bmc=frozenset({"10.1.0.6"})),
        ["BMC address 10.1.0.6, the manifest says 10.1.0.5"],
    ),
    "another BMC": (
        row(1, bmc_mac=mac(0x51)), machine(1, bmc_macs=frozenset({mac(0x52)})),
        [f"BMC's MAC {mac(0x52)}, the manifest says {mac(0x51)}"],
    ),
    "another model": (
        row(1, product="PowerEdge R750"), machine(1, product="PowerEdge R650"),
        ["model PowerEdge R650, the manifest says PowerEdge R750"],
    ),
    "no pool": (row(1, pool="web"), machine(1), ["in no pool, the manifest says web"]),
    "a tag is missing": (
        row(1, tags=("gold", "ssd")), machine(1, tags=frozenset({"ssd"})),
        ["has not the tag gold of the manifest"],
    ),
    "another port": (
        row(1, ENO1), machine(1, heard("eno1", "sw1", "Ethernet1/7")),
        ["eno1 is on sw1 Ethernet1/7, the manifest says sw1 Ethernet1/5"],
    ),
    "another switch": (
        row(1, ENO1), machine(1, heard("eno1", "sw3", "Ethernet1/5", chassis_id="x")),
        ["eno1 is on sw3 Ethernet1/5, the manifest says sw1 Ethernet1/5"],
    ),
    "the two cables are swapped": (
        row(1, ENO1, ENO2),
        machine(1, heard("eno1", "sw2", "Ethernet1/5"), heard("eno2", "sw1", "Ethernet1/5")),
        ["the cables of eno1 and eno2 are swapped: eno1 is on sw2 Ethernet1/5,"
         " eno2 on sw1 Ethernet1/5"],
    ),
    "the cable is in another NIC": (
        row(1, ENO1), machine(1, heard("eno2", "sw1", "Ethernet1/5")),
        ["sw1 Ethernet1/5 is on eno2, the manifest says eno1"],
    ),
    "no link": (
        row(1, ENO1, ENO2), machine(1, AT2, links={"eno1": False}),
        ["eno1 has no link, the manifest says sw1 Ethernet1/5"],
    ),
    "the port in its short form, the switch with its domain": (
        row(1, Cable("eno1", "sw1.dc1.example.com", "Eth1/5")), machine(1, AT1), [],
    ),
    "GigabitEthernet as Cisco shortens it": (
        row(1, Cable("eno1", "sw1", "Gi1/0/5")),
        machine(1, heard("eno1", "SW1.dc1", "GigabitEthernet1/0/5")), [],
    ),
    "the switch by its address, the NIC by its MAC": (
        row(1, Cable(mac(2), "10.0.0.2", "Ethernet1/5")), machine(1, AT1), [],
    ),
    "a cable without NIC": (
        row(1, Cable("", "sw2", "Ethernet1/5")), machine(1, AT1, AT2), [],
    ),
    "a cable without NIC is in another port": (
        row(1, Cable("", "sw1", "Ethernet1/5")), machine(1, heard("eno2", "sw1", "Ethernet1/6")),
        ["eno2 is on sw1 Ethernet1/6, the manifest says sw1 Ethernet1/5"],
    ),
    "only a switch is said": (row(1, Cable("", "sw1", "")), machine(1, AT1), []),
}  # fmt: skip


@pytest.mark.parametrize("situation", ONE)
def test_each_disagreement_has_exactly_its_sentence(situation: str) -> None:
    expected, seen, sentences = ONE[situation]
    found = finding([expected], [seen])
    assert list(found.mismatches) == sentences
    assert found.status == ("mismatching" if sentences else "matching")


def test_what_has_not_come_is_said_with_what_it_is_known_by() -> None:
    found = finding([row(3)], [machine(1)])
    assert found.status == "missing"
    assert found.mismatches == (f"nothing with its serial number S3 or MAC {mac(6)} has come yet",)


def test_who_is_in_no_row_is_unexpected_and_told_whose_port_it_is_on() -> None:
    rows = [row(1), row(2, Cable("eno1", "sw1", "Ethernet1/5"))]
    stranger = machine(7, AT1, name="mild-fox")
    whole = Manifest(rows, [machine(1), stranger, machine(8)])
    assert [one.name for one in whole.unexpected] == ["mild-fox", "web-8"]
    assert whole.stranger(stranger) == (
        "not in the manifest; it is on sw1 Ethernet1/5, where web-2 should be"
    )
    assert whole.stranger(machine(8)) == "not in the manifest"


def test_serial_numbers_that_are_swapped_are_said_to_be() -> None:
    rows = [row(1, serial="S2"), row(2, serial="S1")]
    machines = [machine(1), machine(2)]
    assert told(rows, machines) == [
        "its serial number is web-2's, and web-2 has its: swapped in the manifest, or in the rack"
    ]
    assert told(rows, machines, 1)[0].startswith("its serial number is web-1's")


def test_names_that_are_swapped_are_said_to_be() -> None:
    rows, machines = [row(1), row(2)], [machine(1, name="web-2"), machine(2, name="web-1")]
    assert told(rows, machines) == [
        "its name is web-2's, and web-2 has its: swapped by whoever named them"
    ]


def test_machines_in_each_other_s_place_are_said_to_be() -> None:
    seven = Cable("eno1", "sw1", "Ethernet1/7")
    rows = [row(1, ENO1), row(2, seven)]
    machines = [machine(1, heard("eno1", "sw1", "Ethernet1/7")), machine(2, AT1)]
    assert told(rows, machines) == [
        "it is on web-2's sw1 Ethernet1/7, and web-2 on its: swapped in the rack, or the cables are"
    ]


def test_a_machine_in_the_place_of_another_is_said_to_be() -> None:
    rows = [row(1, ENO1), row(2, Cable("eno1", "sw1", "Ethernet1/7"))]
    machines = [machine(1, heard("eno1", "sw1", "Ethernet1/7")), machine(2)]
    assert told(rows, machines) == ["it is on sw1 Ethernet1/7, where web-2 should be"]


def test_a_nic_that_is_in_another_machine_is_said_to_be_there() -> None:
    rows = [row(1, macs=(mac(2), mac(5))), row(2)]
    assert told(rows, [machine(1), machine(2)]) == [f"MAC {mac(5)} is in web-2"]


def test_a_machine_at_the_switch_of_another_rack_is_told() -> None:
    rows = [row(n, rack="R1" if n < 4 else "R2") for n in range(1, 7)]
    machines = [machine(n, heard("eno1", "sw-r1" if n < 5 else "sw-r2", f"Eth{n}"))
                for n in range(1, 7)]  # fmt: skip
    assert told(rows, machines, 3) == [
        "rack R2 by the manifest, but its switch sw-r1 serves rack R1"
    ]
    assert [told(rows, machines, n) for n in (0, 1, 2, 4, 5)] == [[]] * 5


def test_a_switch_that_serves_several_racks_says_nothing() -> None:
    rows = [row(n, rack=f"R{n % 3}") for n in range(1, 8)]
    machines = [machine(n, heard("eno1", "sw-row", f"Eth{n}")) for n in range(1, 8)]
    assert [told(rows, machines, n) for n in range(7)] == [[]] * 7


def test_cabling_without_lldp_is_not_known_and_not_wrong() -> None:
    found = finding([row(1, ENO1)], [machine(1)])
    assert (found.status, found.cables[0].status) == ("matching", "unknown")
    assert found.unknown == ("its cabling is not known: it has not listened for LLDP yet",)
    silent = finding([row(1, ENO1, ENO2)], [machine(1, AT2)])
    assert silent.status == "matching"
    assert silent.unknown == ("eno1 heard no LLDP, the manifest says sw1 Ethernet1/5",)


def test_the_heavier_evidence_decides_and_a_machine_is_one_row_s() -> None:
    uuid = "4c4c4544-0051-3310-8051-b4c04f4e3331"
    rows = [row(1, uuid=uuid, macs=()), row(2, macs=(), serial="S1")]
    machines = [machine(1, uuid=uuid), machine(2, serial="")]
    whole = Manifest(rows, machines)
    assert {key: place.machine.id for key, place in whole.places.items()} == {
        "web-1": "m1", "web-2": "m2",
    }  # fmt: skip
    assert whole.places["web-1"].because == "the same hardware UUID and serial number and name"


def test_a_serial_number_of_two_machines_is_left_to_a_person() -> None:
    nodes = [machine(1, serial="CHASSIS"), machine(2, serial="CHASSIS")]
    (sentence,) = told([Row(serial="CHASSIS")], nodes)
    assert (
        sentence
        == "which machine it is cannot be told: the same serial number is on web-1 and web-2"
    )
    assert not Manifest([Row(serial="CHASSIS")], nodes).places["CHASSIS"].certain


def test_a_name_alone_finds_a_machine_and_its_wrong_serial_number_is_told() -> None:
    assert told([row(1, macs=(), serial="S9")], [machine(1)]) == [
        "serial number S1, the manifest says S9"
    ]


def test_the_order_of_rows_and_machines_does_not_matter() -> None:
    rows = [row(n, serial=f"S{(n * 3) % 7}") for n in range(7)]
    machines = [machine(n) for n in range(7)]
    one, other = Manifest(rows, machines), Manifest(rows[::-1], machines[::-1])
    assert [one.finding(r) for r in rows] == [other.finding(r) for r in rows]
